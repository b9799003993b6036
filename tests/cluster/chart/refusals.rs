//! Values that make no sense are refused, and the message names them.

use supercargo_testbed::{Profiles, story};

use super::helm;

const PROFILES: Profiles = Profiles::First("what the chart refuses never starts");

#[track_caller]
fn check(values: &str, says: &str) {
    let output = helm::template("default", values, &[]);
    let complaint = helm::complaint(&output);
    assert!(!output.status.success(), "not refused: {values}");
    assert!(complaint.contains(says), "{values}: {says:?} is not in: {complaint}");
}

#[story]
fn the_schema_names_the_value_that_it_refuses() {
    check("replica: 3", "at '': additional properties 'replica' not allowed");
    check("webhook: {addr: x}", "at '/webhook': additional properties 'addr' not allowed");
    check("replicas: two", "at '/replicas': got string, want null or integer");
    check(
        "quotas: {memoryPerNamespace: 128M}",
        "at '/quotas/memoryPerNamespace': '128M' does not match pattern",
    );
    check("quotas: {memoryPerNamespace: 0%}", "at '/quotas/memoryPerNamespace': '0%' does not match pattern");
    check("replicas: -1", "at '/replicas': minimum: got -1, want 0");
    check("clusterAdmin: 'true'", "at '/clusterAdmin': got string, want boolean");
    check("concurrency: 0", "at '/concurrency': minimum: got 0, want 1");
    check("cache: {maxSize: 5M}", "at '/cache/maxSize': '5M' does not match pattern");
    check("cache: {sizeLimit: 1.5Gi}", "at '/cache/sizeLimit': '1.5Gi' does not match pattern");
    check("image: {digest: 'sha256:12'}", "at '/image/digest': 'sha256:12' does not match pattern");
    check("image: {tag: 'a b'}", "at '/image/tag': 'a b' does not match pattern");
    check("image: {pullPolicy: Sometimes}", "at '/image/pullPolicy': value must be one of");
    check("imagePullSecrets: [pull]", "at '/imagePullSecrets/0': got string, want object");
    check("watchNamespaces: apps", "at '/watchNamespaces': got string, want array");
    check("watchNamespaces: ['a,b']", "at '/watchNamespaces/0': 'a,b' does not match pattern");
    check("watchNamespaces: [a, a]", "at '/watchNamespaces': items at 0 and 1 are equal");
    check("registryMirrors: [mirror]", "at '/registryMirrors/0': 'mirror' does not match pattern");
    check("allowedTokenHosts: [a]", "at '/allowedTokenHosts/0': 'a' does not match pattern");
    check(
        "allowedRegistries: ['oci://a/b']",
        "at '/allowedRegistries/0': 'oci://a/b' does not match pattern",
    );
    check("proxy: {https: 'proxy:3128'}", "at '/proxy/https': 'proxy:3128' does not match pattern");
    check("verificationInterval: often", "at '/verificationInterval': 'often' does not match pattern");
    check("logFormat: xml", "at '/logFormat': value must be one of 'json', 'text'");
    check("otlpEndpoint: 'collector:4318'", "at '/otlpEndpoint': 'collector:4318' does not match pattern");
    check("webhook: {port: 80}", "at '/webhook/port': minimum: got 80, want 1,024");
    check(
        "terminationGracePeriodSeconds: 20",
        "at '/terminationGracePeriodSeconds': minimum: got 20, want 30",
    );
    check("podDisruptionBudget: {maxUnavailable: 0}", "at '/podDisruptionBudget/maxUnavailable': minimum");
    check(
        "webhook: {enabled: true, receivers: [{name: a, type: generic, secret: 1234567890123456}]}",
        "at '/webhook/receivers/0/secret': got number, want string",
    );
    check("podLabels: {a: 1}", "at '/podLabels/a': got number, want string");
    check(
        "policies: {enabled: [accounts]}",
        "at '/policies/enabled/0': value must be one of 'account', 'approval'",
    );
    check(
        "ui: {hosts: ['https://page.example.com']}",
        "at '/ui/hosts/0': 'https://page.example.com' does not match pattern",
    );
    check("ui: {ingress: {enabled: true}}", "ui.ingress.enabled is set, but ui.enabled is false");
    check("ui: {enabled: true, ingress: {enabled: true}}", "ui.ingress.enabled needs ui.hosts");
    check(
        "ui: {enabled: true, port: 8080}",
        "ui.port is 8080, the port of the metrics, the probes or the webhook",
    );
    check("fullnameOverride: A", "at '/fullnameOverride': 'A' does not match pattern");
}

#[story]
fn values_that_contradict_each_other_are_refused() {
    check(
        "policies: {enabled: [registries]}",
        "policies.enabled includes registries, but allowedRegistries is empty: set allowedRegistries, or remove registries",
    );
    let larger = "cache.maxSize (2Gi) must be at most four fifths of cache.sizeLimit (2Gi)";
    check("cache: {maxSize: 2Gi}", larger);
    check(
        "cache: {sizeLimit: 1000Mi}",
        "cache.maxSize (1Gi) must be at most four fifths of cache.sizeLimit (1000Mi)",
    );
    let nobody = "ui.anonymous asks nobody who they are, and nothing limits who reaches the page";
    check("ui: {enabled: true, anonymous: true}", nobody);
    check(
        "{ui: {enabled: true, anonymous: true}, networkPolicy: {enabled: false, uiFrom: [{podSelector: {}}]}}",
        nobody,
    );
    check(
        "ui: {enabled: true, hosts: [page.example.com], ingress: {enabled: true}}",
        "ui.ingress.enabled needs ui.ingress.tlsSecret",
    );
    check(
        "ui: {enabled: true, service: {type: LoadBalancer}}",
        "ui.service.type is LoadBalancer, and the page speaks plain HTTP",
    );
    check("webhook: {enabled: true}", "webhook.enabled needs receivers");
    check(
        "webhook: {enabled: true, secret: a, receivers: [{b: c}]}",
        "webhook.secret and webhook.receivers are both set",
    );
    check("webhook: {enabled: true, secret: a, port: 8080}", "webhook.port is 8080, the port of the metrics");
    check("webhook: {enabled: true, secret: a, port: 8081}", "webhook.port is 8081, the port of the probes");
    check(
        "trustPolicy: {configMap: a, files: {policy.yaml: b}}",
        "trustPolicy.configMap and trustPolicy.files are both set",
    );
    check("trustPolicy: {files: {a.pub: b}}", "trustPolicy.files has no policy.yaml");
    check("extraCA: {configMap: a, secret: b}", "extraCA.configMap and extraCA.secret are both set");
    check("rbac: {impersonate: [a]}", "rbac.impersonate does not include default, the account of releases");
    check("{clusterAdmin: true, rbac: {create: false}}", "clusterAdmin needs rbac.create");
    check(
        "{clusterAdmin: true, rbac: {impersonate: [a]}}",
        "rbac.impersonate has no effect with clusterAdmin: remove one of them",
    );
    check("webhook: {secret: a}", "webhook.secret is set, but webhook.enabled is false");
    check("webhook: {receivers: [{b: c}]}", "webhook.receivers is set, but webhook.enabled is false");
    check(
        "{podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}",
        "podMonitor.enabled and serviceMonitor.enabled are both true, each pod would be scraped twice",
    );
}

#[story]
fn monitors_need_the_prometheus_operator_and_say_so() {
    for kind in ["podMonitor", "serviceMonitor", "prometheusRule"] {
        let says = format!("{kind}.enabled needs the Prometheus operator, but the cluster does not serve");
        check(&format!("{kind}: {{enabled: true}}"), &says);
    }
}
