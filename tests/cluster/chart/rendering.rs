//! What each value becomes, and that a real API server accepts all of it.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Bed, Profiles, Story, bed, story};

use super::helm;
use crate::scene::BINARY;

const PROFILES: Profiles = Profiles::First("its operators have the rights that the chart gives them there");

/// Values, and what they become: `Kind/name`, where in it, and what is there.
type Case = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const POD: &str = "Deployment/supercargo";

/// Paths begin in the Deployment's pod spec where they begin with `pod`, and in its
/// container with `container`.
const CASES: &[Case] = &[
    (
        "",
        &[
            (POD, "/spec/replicas", "2"),
            (POD, "pod/terminationGracePeriodSeconds", "45"),
            (POD, "pod/securityContext/runAsNonRoot", "true"),
            (POD, "pod/securityContext/seccompProfile/type", "RuntimeDefault"),
            (
                POD,
                "pod/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~1instance",
                "supercargo",
            ),
            (POD, "pod/volumes/0/emptyDir/sizeLimit", "2Gi"),
            (POD, "container/image", "supercargo:0.1.0"),
            (POD, "container/env/2/value", "'warn,supercargo=info'"),
            (POD, "container/securityContext/readOnlyRootFilesystem", "true"),
            (POD, "container/securityContext/capabilities/drop/0", "ALL"),
            ("ClusterRoleBinding/supercargo-cluster-admin", "", "null"),
            ("PodMonitor/supercargo", "", "null"),
            ("NetworkPolicy/supercargo", "/spec/policyTypes", "[Ingress]"),
        ],
    ),
    (
        "{clusterAdmin: true}",
        &[
            ("ClusterRoleBinding/supercargo-cluster-admin", "/roleRef/name", "cluster-admin"),
            ("ClusterRole/supercargo-edit", "", "null"),
        ],
    ),
    (
        "{rbac: {create: false}, serviceAccount: {create: false, name: mine}}",
        &[
            ("ClusterRole/supercargo-controller", "", "null"),
            ("Role/supercargo-leader-election", "", "null"),
            ("ServiceAccount/supercargo", "", "null"),
            (POD, "pod/serviceAccountName", "mine"),
        ],
    ),
    (
        "{shards: auto}",
        &[(
            "Role/supercargo-leader-election",
            "/rules/0/verbs",
            "[get, list, watch, create, update, delete]",
        )],
    ),
    (
        "{serviceAccount: {annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/a'}}}",
        &[(
            "ServiceAccount/supercargo",
            "/metadata/annotations/eks.amazonaws.com~1role-arn",
            "arn:aws:iam::1:role/a",
        )],
    ),
    (
        "{image: {repository: 'registry.example:5000/a/supercargo', tag: v2, digest: 'sha256:0123456789012345678901234567890123456789012345678901234567890123', pullPolicy: Always}, imagePullSecrets: [{name: pull}]}",
        &[
            (
                POD,
                "container/image",
                "registry.example:5000/a/supercargo@sha256:0123456789012345678901234567890123456789012345678901234567890123",
            ),
            (POD, "container/imagePullPolicy", "Always"),
            (POD, "pod/imagePullSecrets/0/name", "pull"),
        ],
    ),
    (
        "{priorityClassName: system-cluster-critical, nodeSelector: {kubernetes.io/os: linux}, tolerations: [{key: a, operator: Exists}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}, topologySpreadConstraints: [], resources: {limits: {memory: 1Gi}}}",
        &[
            (POD, "pod/priorityClassName", "system-cluster-critical"),
            (POD, "pod/nodeSelector/kubernetes.io~1os", "linux"),
            (POD, "pod/tolerations/0/operator", "Exists"),
            (
                POD,
                "pod/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/key",
                "a",
            ),
            (POD, "pod/topologySpreadConstraints", "null"),
            (POD, "container/resources/limits/memory", "1Gi"),
            (POD, "container/resources/requests/cpu", "50m"),
        ],
    ),
    (
        "{podLabels: {team: a, app.kubernetes.io/name: other}, podAnnotations: {b: c}, commonLabels: {d: e}}",
        &[
            (POD, "/spec/template/metadata/labels/team", "a"),
            (POD, "/spec/template/metadata/labels/app.kubernetes.io~1name", "supercargo"),
            (POD, "/spec/template/metadata/annotations/b", "c"),
            ("Service/supercargo", "/metadata/labels/d", "e"),
            (POD, "/spec/selector/matchLabels/d", "null"),
        ],
    ),
    (
        "{podAnnotations: {kubectl.kubernetes.io/default-container: other}, commonLabels: {app.kubernetes.io/component: x, app.kubernetes.io/name: other, helm.sh/chart: other, d: e}}",
        &[
            ("Service/supercargo", "/metadata/labels/app.kubernetes.io~1component", "metrics"),
            ("Service/supercargo", "/metadata/labels/app.kubernetes.io~1name", "supercargo"),
            ("Service/supercargo", "/metadata/labels/helm.sh~1chart", "supercargo-0.1.0"),
            ("Service/supercargo", "/metadata/labels/d", "e"),
            (POD, "/metadata/labels/app.kubernetes.io~1component", "x"),
            (POD, "/spec/template/metadata/annotations/kubectl.kubernetes.io~1default-container", "other"),
        ],
    ),
    (
        "{extraEnvFrom: [{secretRef: {name: proxy}}], otlpEndpoint: 'http://collector.monitoring:4318'}",
        &[
            (POD, "container/env/3/name", "no_proxy"),
            (
                POD,
                "container/env/3/value",
                "localhost,127.0.0.1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST),collector.monitoring",
            ),
        ],
    ),
    (
        "{podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}}",
        &[(POD, "pod/securityContext/runAsUser", "null"), (POD, "pod/securityContext/runAsNonRoot", "true")],
    ),
    (
        "{extraArgs: [--concurrency-of-the-future=1], extraEnv: [{name: A, value: b}], extraEnvFrom: [{secretRef: {name: proxy}}], extraVolumes: [{name: x, emptyDir: {}}], extraVolumeMounts: [{name: x, mountPath: /x}], logLevel: debug}",
        &[
            (POD, "container/args/11", "--concurrency-of-the-future=1"),
            (POD, "container/env/2/value", "debug"),
            (POD, "container/env/3/value", "b"),
            (POD, "container/envFrom/0/secretRef/name", "proxy"),
            (POD, "container/volumeMounts/2/mountPath", "/x"),
            (POD, "pod/volumes/2/name", "x"),
        ],
    ),
    (
        "{proxy: {http: 'http://p:1', https: 'http://p:2', noProxy: '.example.com'}, extraCA: {secret: ca, key: bundle.pem}}",
        &[
            (POD, "container/env/3/value", "/etc/ssl/certs:/etc/supercargo/ca"),
            (POD, "container/env/4/value", "http://p:1"),
            (POD, "container/env/5/value", "http://p:2"),
            (
                POD,
                "container/env/6/value",
                "localhost,127.0.0.1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST),.example.com",
            ),
            (POD, "pod/volumes/2/secret/items/0/key", "bundle.pem"),
        ],
    ),
    (
        "{trustPolicy: {configMap: policy}, trustedRoot: {configMap: root, key: a.json}, extraCA: {configMap: ca}}",
        &[
            (POD, "pod/volumes/2/configMap/name", "policy"),
            (POD, "pod/volumes/3/configMap/items/0/key", "a.json"),
            (POD, "container/volumeMounts/3/mountPath", "/etc/supercargo/trusted-root"),
            (POD, "container/volumeMounts/4/mountPath", "/etc/supercargo/ca"),
        ],
    ),
    (
        "{trustPolicy: {files: {policy.yaml: \"a:\\n  b\\n\", k.pub: key}}}",
        &[
            ("ConfigMap/supercargo-trust-policy", "/data/policy.yaml", "\"a:\\n  b\\n\""),
            (POD, "pod/volumes/2/configMap/name", "supercargo-trust-policy"),
        ],
    ),
    (
        "{webhook: {enabled: true, secret: receivers, key: a.yaml, service: {type: LoadBalancer, annotations: {a: b}}}, networkPolicy: {metricsFrom: [{namespaceSelector: {}}], webhookFrom: [{ipBlock: {cidr: 10.0.0.0/8}}]}}",
        &[
            ("Service/supercargo-webhook", "/spec/type", "LoadBalancer"),
            ("Service/supercargo-webhook", "/spec/ports/0/port", "9292"),
            ("Service/supercargo-webhook", "/metadata/annotations/a", "b"),
            ("Service/supercargo", "/spec/ports/1", "null"),
            ("NetworkPolicy/supercargo", "/spec/ingress/0/from/0/namespaceSelector", "{}"),
            ("NetworkPolicy/supercargo", "/spec/ingress/1/from/0/ipBlock/cidr", "10.0.0.0/8"),
            (POD, "container/ports/1/containerPort", "9292"),
            (POD, "pod/volumes/2/secret/secretName", "receivers"),
            ("Secret/supercargo-webhook", "", "null"),
        ],
    ),
    (
        "{ui: {enabled: true, hosts: [page.example.com], allowPlainHTTP: true, service: {type: LoadBalancer, annotations: {a: b}}, ingress: {enabled: true, className: nginx, annotations: {c: d}, tlsSecret: page-tls}}, networkPolicy: {uiFrom: [{ipBlock: {cidr: 10.0.0.0/8}}]}}",
        &[
            ("Service/supercargo-page", "/spec/type", "LoadBalancer"),
            ("Service/supercargo-page", "/spec/ports/0/port", "9494"),
            ("Service/supercargo-page", "/metadata/annotations/a", "b"),
            ("Ingress/supercargo-page", "/spec/ingressClassName", "nginx"),
            ("Ingress/supercargo-page", "/metadata/annotations/c", "d"),
            ("Ingress/supercargo-page", "/spec/rules/0/host", "page.example.com"),
            ("Ingress/supercargo-page", "/spec/tls/0/hosts/0", "page.example.com"),
            ("Ingress/supercargo-page", "/spec/tls/0/secretName", "page-tls"),
            ("NetworkPolicy/supercargo", "/spec/ingress/1/from/0/ipBlock/cidr", "10.0.0.0/8"),
            ("ClusterRole/supercargo-controller", "/rules/9/resources", "[tokenreviews]"),
            ("ClusterRole/supercargo-controller", "/rules/10/resources", "[subjectaccessreviews]"),
            (POD, "container/args/11", "--ui-addr=0.0.0.0:9494"),
            (POD, "container/args/12", "--ui-hosts=page.example.com"),
            (POD, "container/ports/1/containerPort", "9494"),
        ],
    ),
    (
        "{ui: {enabled: true, port: 9595, anonymous: true, allowAnonymousFromEverywhere: true}}",
        &[
            ("ClusterRole/supercargo-controller", "/rules/9", "null"),
            ("Ingress/supercargo-page", "", "null"),
            (POD, "container/args/12", "--ui-anonymous"),
            (POD, "container/ports/1/containerPort", "9595"),
        ],
    ),
    (
        "{notifications: {secret: receivers}}",
        &[
            (POD, "pod/volumes/2/secret/secretName", "receivers"),
            (POD, "container/volumeMounts/2/mountPath", "/etc/supercargo/notifications"),
        ],
    ),
    (
        "{webhook: {enabled: true, port: 9393, receivers: [{name: ci, type: generic, secret: 0123456789abcdef}]}}",
        &[
            (
                "Secret/supercargo-webhook",
                "/stringData/receivers.yaml",
                "\"apiVersion: supercargo.dev/v1alpha1\\nkind: WebhookConfig\\nreceivers:\\n  - name: ci\\n    secret: 0123456789abcdef\\n    type: generic\\n\"",
            ),
            (POD, "pod/volumes/2/secret/secretName", "supercargo-webhook"),
            (POD, "container/ports/1/containerPort", "9393"),
        ],
    ),
    (
        "{networkPolicy: {egress: {enabled: true, rules: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}}, podDisruptionBudget: {maxUnavailable: 50%}, replicas: 3}",
        &[
            ("NetworkPolicy/supercargo", "/spec/policyTypes", "[Ingress, Egress]"),
            ("NetworkPolicy/supercargo", "/spec/egress/1/to/0/ipBlock/cidr", "10.0.0.0/8"),
            ("PodDisruptionBudget/supercargo", "/spec/maxUnavailable", "50%"),
            (POD, "/spec/replicas", "3"),
        ],
    ),
    ("{replicas: 0}", &[(POD, "/spec/replicas", "0")]),
    // As with an autoscaler, which has the number then.
    (
        "{replicas: null, shards: auto}",
        &[
            (POD, "/spec/replicas", "null"),
            (POD, "/spec/selector/matchLabels/app.kubernetes.io~1name", "supercargo"),
        ],
    ),
    (
        "{networkPolicy: {enabled: false}, podDisruptionBudget: {enabled: false}, rbac: {aggregate: false}, crds: {install: false}}",
        &[
            ("NetworkPolicy/supercargo", "", "null"),
            ("PodDisruptionBudget/supercargo", "", "null"),
            ("ClusterRole/supercargo-view", "", "null"),
            ("CustomResourceDefinition/ociartifactreleases.supercargo.dev", "", "null"),
        ],
    ),
    (
        "{podMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}}}",
        &[
            ("PodMonitor/supercargo", "/spec/podMetricsEndpoints/0/interval", "1m"),
            ("PodMonitor/supercargo", "/metadata/labels/release", "prometheus"),
        ],
    ),
    (
        "{serviceMonitor: {enabled: true, interval: 30s}, service: {annotations: {a: b}}}",
        &[
            ("ServiceMonitor/supercargo", "/spec/endpoints/0/interval", "30s"),
            (
                "ServiceMonitor/supercargo",
                "/spec/selector/matchLabels/app.kubernetes.io~1component",
                "metrics",
            ),
            ("Service/supercargo", "/metadata/labels/app.kubernetes.io~1component", "metrics"),
        ],
    ),
    (
        "{rbac: {impersonate: [deployer]}, defaultServiceAccount: deployer, fullnameOverride: cargo}",
        &[
            ("ClusterRole/cargo-controller", "/rules/4/resourceNames/0", "deployer"),
            ("ClusterRole/cargo-controller", "/rules/4/verbs", "[impersonate]"),
        ],
    ),
];

fn place(path: &str) -> String {
    let pod = "/spec/template/spec";
    match (path.strip_prefix("pod"), path.strip_prefix("container")) {
        (Some(rest), _) => format!("{pod}{rest}"),
        (_, Some(rest)) => format!("{pod}/containers/0{rest}"),
        _ => path.to_owned(),
    }
}

#[story]
fn each_value_becomes_what_it_says() {
    for (values, expected) in CASES {
        let objects = helm::rendered("supercargo-system", values);
        for (object, path, expected) in *expected {
            let (kind, name) = object.split_once('/').expect("Kind/name");
            let found = helm::find(&objects, kind, name).unwrap_or(&Value::Null);
            let found = found.pointer(&place(path)).unwrap_or(&Value::Null);
            let expected: Value = serde_saphyr::from_str(expected).expect("YAML");
            assert_eq!(*found, expected, "{object}{path} of {values}");
        }
    }
}

/// Names that are something else to YAML when nothing says that they are text.
const TREACHEROUS: &str = r#"{watchNamespaces: ["2024", "no", "null"], serviceAccount: {name: "true"},
    fullnameOverride: "null", priorityClassName: "1e3", commonLabels: {team: "on"}, imagePullSecrets: [{name: "0x1"}],
    defaultServiceAccount: "7", rbac: {impersonate: ["7"]}, podMonitor: {enabled: true},
    prometheusRule: {enabled: true}, dashboards: {enabled: true, namespace: "12", label: "34"},
    trustPolicy: {configMap: "56"}, trustedRoot: {configMap: "78"}, extraCA: {secret: "90"},
    webhook: {enabled: true, secret: "1.5"}, notifications: {secret: "2.5"}}"#;

/// Where a name, or a label, is no text.
fn no_text(value: &Value, place: &str, found: &mut Vec<String>) {
    const NAMES: &[&str] = &["name", "namespace", "serviceAccountName", "secretName", "priorityClassName"];
    const LISTS: &[&str] = &["labels", "annotations", "matchLabels", "resourceNames"];
    let mut must = |is: bool, place: &str| {
        if !is {
            found.push(place.to_owned());
        }
    };
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let place = format!("{place}/{key}");
                must(!NAMES.contains(&key.as_str()) || inner.is_string(), &place);
                if LISTS.contains(&key.as_str()) {
                    let values = inner.as_object().into_iter().flat_map(|map| map.values());
                    let values = values.chain(inner.as_array().into_iter().flatten());
                    must(values.into_iter().all(Value::is_string), &place);
                }
            }
            for (key, inner) in map {
                no_text(inner, &format!("{place}/{key}"), found);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| no_text(inner, place, found)),
        _ => {}
    }
}

#[story]
fn names_stay_text_whatever_yaml_makes_of_them() {
    // Only one of the two monitors may be on.
    let other = TREACHEROUS.replace("podMonitor", "serviceMonitor");
    let yaml = [TREACHEROUS, &other].map(|v| helm::printed(&helm::template("2024", v, &[helm::MONITORING])));
    let yaml = yaml.join("\n---\n");
    // Helm reads YAML 1.1, where these are truth values.
    for word in ["no", "on"] {
        let bare = yaml.lines().find(|line| line.ends_with(&format!(": {word}")));
        assert_eq!(bare, None, "{word} has no quotes");
    }
    let mut found = Vec::new();
    for object in helm::objects(&yaml) {
        // What the definition calls a name is its own business.
        if object["kind"] != "CustomResourceDefinition" {
            no_text(&object, object["kind"].as_str().expect("a kind"), &mut found);
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// The definitions of the Prometheus operator, once in the shared cluster.
#[story]
fn every_name_of_a_release_gives_names_that_a_service_can_have() {
    let webhook = "--set=webhook.enabled=true,webhook.secret=receivers";
    let chart = helm::chart().display().to_string();
    let long = "a".repeat(53);
    for (name, expected) in [
        ("supercargo", "supercargo"),
        ("one", "one-supercargo"),
        ("1st", "supercargo-1st"),
        ("1supercargo", "supercargo-1supercargo"),
        ("team.one", "team-one-supercargo"),
        (&long, &format!("{}-supercargo", &long[..42])),
    ] {
        let rendered = helm::printed(&helm::helm(None, &["template", name, &chart, webhook]));
        let objects = helm::objects(&rendered);
        let services = objects.iter().filter(|object| object["kind"] == "Service");
        let names: Vec<&str> = services.filter_map(|object| object["metadata"]["name"].as_str()).collect();
        assert_eq!(names, [expected, &format!("{expected}-webhook")]);
        assert!(names.iter().all(|name| name.len() < 64), "{names:?}");
    }
}

fn install_monitoring(bed: &Bed) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let kinds = ["podmonitors", "servicemonitors", "prometheusrules"];
        let files = Tools::monitoring().files();
        let wanted = files.iter().filter(|file| {
            kinds.iter().any(|kind| file.ends_with(format!("monitoring.coreos.com_{kind}.yaml")))
        });
        for file in wanted {
            bed.kubectl(&["apply", "--server-side", "-f", file.to_str().expect("text")], "");
        }
        let crds = kinds.map(|kind| format!("crd/{kind}.monitoring.coreos.com"));
        let mut wait = vec!["wait", "--for=condition=Established", "--timeout=60s"];
        wait.extend(crds.iter().map(String::as_str));
        bed.kubectl(&wait, "");
    });
}

#[story]
async fn a_real_api_server_accepts_what_is_rendered() {
    let story = Story::begin("chart-rendering").await;
    install_monitoring(story.bed());
    // What breaks the restricted profile is a warning for a Deployment.
    for mode in ["enforce", "warn"] {
        let label = format!("pod-security.kubernetes.io/{mode}=restricted");
        story.bed().kubectl(&["label", "namespace", story.namespace(), &label], "");
    }
    let watched = format!("{{watchNamespaces: [{}]}}", story.another_namespace("chart-watched"));
    let dashboards = format!("{{dashboards: {{enabled: true, namespace: {}}}}}", story.namespace());
    let values = CASES.iter().map(|(values, _)| *values).chain([watched.as_str(), &dashboards]);
    for values in values {
        let lint = helm::with_values(None, &["lint"], story.namespace(), values, &["--strict"]);
        assert!(lint.status.success(), "{values}: {}", String::from_utf8_lossy(&lint.stdout));
        let yaml = helm::printed(&helm::template(story.namespace(), values, &[helm::MONITORING]));
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        ];
        let output = bed::kubectl(&story.bed().admin_kubeconfig_path(), &apply, &yaml);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !complaint.contains("Warning"), "{values}: {complaint}");
    }
}

/// What the notes say when these values are installed.
#[track_caller]
fn notes(story: &Story<'_>, values: &str) -> String {
    let admin = story.bed().admin_kubeconfig_path();
    // A name that no other installation in this cluster has.
    let values = format!("{{fullnameOverride: notes, crds: {{install: false}}, {values}}}");
    let install = ["install", "notes"];
    helm::printed(&helm::with_values(
        Some(&admin),
        &install,
        story.namespace(),
        &values,
        &["--dry-run=server"],
    ))
}

#[story]
async fn the_notes_tell_what_is_left_to_set() {
    let story = Story::begin("chart-notes").await;
    install_monitoring(story.bed());
    let (image, runbooks) =
        ("image.repository is not set: the pods need", "prometheusRule.runbookURL is a path");
    let said = notes(&story, "prometheusRule: {enabled: true}");
    assert!(said.contains(image) && said.contains(runbooks), "{said}");
    let said = notes(&story, "prometheusRule: {enabled: false}");
    assert!(!said.contains(runbooks), "{said}");
    let said = notes(
        &story,
        "image: {repository: a.example/b}, prometheusRule: {enabled: true, runbookURL: 'https://a.example/b'}",
    );
    assert!(!said.contains(image) && !said.contains(runbooks), "{said}");
}

/// Flags and the values that make them.
const FLAGS: &[(&str, &str)] = &[
    ("", "--default-service-account=default"),
    ("", "--cache-max-size=1Gi"),
    ("", "--concurrency=16"),
    ("", "--verification-interval=1h"),
    ("{defaultServiceAccount: deployer}", "--default-service-account=deployer"),
    ("{clusterAdmin: true, defaultServiceAccount: deployer}", "--default-service-account=deployer"),
    ("{watchNamespaces: [a, b]}", "--watch-namespaces=a,b"),
    ("{cache: {maxSize: 3Gi, sizeLimit: 4Gi}}", "--cache-max-size=3Gi"),
    ("{builds: {kustomize: Disabled}}", "--kustomize=Disabled"),
    ("{builds: {helm: Disabled}}", "--helm=Disabled"),
    ("{builds: {concurrent: 4}}", "--concurrent-builds=4"),
    ("{builds: {allowUnconfined: true}}", "--allow-unconfined-builds"),
    ("{logFormat: text}", "--log-format=text"),
    ("{otlpEndpoint: 'http://collector:4318'}", "--otlp-endpoint=http://collector:4318"),
    ("{requireVerification: true}", "--require-verification"),
    ("{allowCrossNamespaceDependencies: true}", "--allow-cross-namespace-dependencies"),
    ("{remoteClusters: false}", "--remote-clusters=Disabled"),
    ("{shards: auto}", "--shards=auto"),
    ("{leaseDuration: 45s}", "--lease-duration=45s"),
    (
        "{registryMirrors: ['docker.io=oci://mirror.example/hub']}",
        "--registry-mirror=docker.io=oci://mirror.example/hub",
    ),
    ("{allowedTokenHosts: [a.example=b.example, c=d]}", "--allowed-token-hosts=a.example=b.example,c=d"),
    ("{trustPolicy: {configMap: a}}", "--trust-policy=/etc/supercargo/trust/policy.yaml"),
    ("{trustedRoot: {configMap: a}}", "--trusted-root=/etc/supercargo/trusted-root/trusted_root.json"),
    ("{allowedRegistries: [ghcr.io/acme, b.example]}", "--allowed-registries=ghcr.io/acme,b.example"),
    ("{watchLabelSelector: 'team in (a, b),!c'}", "--watch-label-selector=team in (a, b),!c"),
    ("{quotas: {releasesPerNamespace: 20}}", "--max-releases-per-namespace=20"),
    ("{quotas: {objectsPerNamespace: 20000}}", "--max-objects-per-namespace=20000"),
    ("{quotas: {memoryPerNamespace: 128Mi}}", "--max-memory-per-namespace=128Mi"),
    ("{quotas: {memoryPerNamespace: 25%}}", "--max-memory-per-namespace=25%"),
    ("{releaseMetrics: false}", "--release-metrics=false"),
    ("{webhook: {enabled: true, secret: a}}", "--webhook-addr=0.0.0.0:9292"),
    ("{webhook: {enabled: true, secret: a, key: b}}", "--webhook-config=/etc/supercargo/webhook/b"),
    ("{webhook: {enabled: true, secret: a}}", "--webhook-config=/etc/supercargo/webhook/receivers.yaml"),
    ("{ui: {enabled: true, port: 9595}}", "--ui-addr=0.0.0.0:9595"),
    ("{ui: {enabled: true, hosts: [a.example, b.example]}}", "--ui-hosts=a.example,b.example"),
    (
        "{ui: {enabled: true, anonymous: true}, networkPolicy: {uiFrom: [{podSelector: {}}]}}",
        "--ui-anonymous",
    ),
    ("{notifications: {secret: a}}", "--notify-config=/etc/supercargo/notifications/receivers.yaml"),
    (
        "{notifications: {releaseHosts: [hooks.slack.com, '*.b.example']}}",
        "--allow-release-notifications=hooks.slack.com,*.b.example",
    ),
    ("{notifications: {secret: a, key: b.yaml}}", "--notify-config=/etc/supercargo/notifications/b.yaml"),
];

fn arguments(values: &str) -> Vec<String> {
    let objects = helm::rendered("default", values);
    let deployment = helm::find(&objects, "Deployment", "supercargo").expect("a Deployment");
    super::pods::arguments(&json!({"spec": deployment["spec"]["template"]["spec"]}))
}

#[story]
fn flags_are_those_of_the_values_and_no_others() {
    let plain = arguments("");
    assert_eq!(plain.len(), 11, "{plain:?}");
    for (values, flag) in FLAGS {
        let found = arguments(values);
        assert!(found.iter().any(|argument| argument == flag), "{flag} is not in {found:?}");
        let name = flag.split('=').next().expect("a name");
        let others = || plain.iter().filter(|argument| argument.starts_with(name));
        assert!(values.is_empty() || others().all(|other| other != flag), "{flag} is there without {values}");
    }
    assert!(!arguments("{clusterAdmin: true}").iter().any(|a| a.starts_with("--default-service-account")));
}

/// Flags that no value sets, and why.
const WITHOUT_VALUE: &[(&str, &str)] = &[
    ("--leader-election-namespace", "the lease is where the pods are"),
    ("--leader-election-name", "made from the name of the installation, as the Role for it is"),
    ("--metrics-addr", "Services and monitors name this port"),
    ("--health-addr", "probes name this port"),
    ("--memory-limit", "the process finds the limit of its container"),
    ("--cache-dir", "the mount of the volume for it"),
    ("--build-dir", "the mount of the volume for it"),
    ("--kustomize-binary", "the image has one on its PATH"),
    ("--helm-binary", "the image has one on its PATH"),
    ("--allow-local-clusters", "nothing in a pod's own network is another cluster"),
    ("--color", "of every command; nobody reads a pod's log on its terminal"),
];

/// The flags in the help of `supercargo controller`.
pub fn flags_of_the_program() -> BTreeSet<String> {
    let help = Command::new(BINARY).args(["controller", "--help"]).output().expect("run supercargo");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    // `  -h, --help` and `      --name <VALUE>` begin lines; in prose flags stand further in.
    let name = |line: &str| {
        let line = line.trim_start();
        let long = line.split_once(", ").filter(|(short, _)| short.len() == 2).map_or(line, |(_, long)| long);
        long.strip_prefix("--").map(|rest| {
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(rest.len());
            format!("--{}", &rest[..end])
        })
    };
    help.lines().filter_map(name).filter(|flag| flag != "--help").collect()
}

#[story]
fn each_flag_of_the_program_has_a_value_or_a_reason() {
    let of_values = FLAGS.iter().map(|(_, flag)| flag.split('=').next().expect("a name"));
    let covered: BTreeSet<String> =
        of_values.chain(WITHOUT_VALUE.iter().map(|(flag, _)| *flag)).map(str::to_owned).collect();
    assert_eq!(covered, flags_of_the_program(), "give the flag a value and a line in FLAGS, or a reason");
}
