//! The NetworkPolicies of the chart and of config/, by connecting: the operator's process in a
//! network of its own, from which and to which others connect.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use supercargo_testbed::network::Pod;
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::policies::PodFacts;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Network, Profiles, Reach, Registry, Story, processes, repository, story};

use super::helm;
use super::plain::kustomized;
use crate::scene::{BINARY, config_map, release};

const PROFILES: Profiles = Profiles::First("who reaches which port does not depend on rights");

const METRICS: u16 = 8080;
const PROBES: u16 = 8081;
const WEBHOOK: u16 = 9292;
const PAGE: u16 = 9494;
const API: u16 = 6443;
const REGISTRY: u16 = 5000;
/// What nobody has to reach.
const OTHER: u16 = 2222;

const fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// A network in which everything listens that is tried.
struct Place {
    network: Network,
    operator: Arc<Pod>,
    api: Arc<Pod>,
    registry: Arc<Pod>,
    /// A registry that nobody has allowed.
    elsewhere: Arc<Pod>,
    dns: Arc<Pod>,
    monitoring: Arc<Pod>,
    /// A pod of the operator's namespace.
    neighbour: Arc<Pod>,
    tenant: Arc<Pod>,
    /// Outside of the cluster.
    sender: Arc<Pod>,
    /// What a cloud tells each machine, such as its credentials.
    metadata: Arc<Pod>,
}

/// From whom, to whom, and whether the policy lets it through. All of it passes without a policy.
type Attempt<'a> = (&'a Pod, &'a Pod, u16, bool);

impl Place {
    fn new(namespace: &str, template: &Value) -> Option<Place> {
        let network = Network::start()?;
        let pod = |namespace: &str, last: u8, ports: &[u16]| {
            let pod = network.pod(PodFacts::new(namespace, address(last)));
            ports.iter().for_each(|port| pod.listen(*port));
            pod
        };
        let place = Place {
            operator: network.pod(PodFacts::of_template(namespace, address(1), template)),
            api: pod("kube-system", 2, &[OTHER]),
            registry: pod("registries", 3, &[OTHER]),
            elsewhere: pod("registries", 4, &[]),
            dns: pod("kube-system", 5, &[53, OTHER]),
            monitoring: pod("monitoring", 6, &[]),
            neighbour: pod(namespace, 7, &[OTHER]),
            tenant: pod("apps", 8, &[OTHER]),
            sender: network.pod(PodFacts::new("", Ipv4Addr::new(192, 0, 2, 7))),
            metadata: network.pod(PodFacts::new("", Ipv4Addr::new(169, 254, 169, 254))),
            network,
        };
        place.metadata.listen(80);
        place.operator.listen(OTHER);
        Some(place)
    }

    fn check(&self, policies: &[Value], attempts: &[Attempt<'_>]) {
        self.network.enforce(&[]);
        for (from, to, port, _) in attempts {
            let (a, b) = (from.facts.address, to.facts.address);
            assert_eq!(from.reach(to, *port), Reach::Reached, "without a policy, {a} to {b}:{port}");
        }
        self.network.enforce(policies);
        for (from, to, port, passes) in attempts {
            let (a, b) = (from.facts.address, to.facts.address);
            let expected = if *passes { Reach::Reached } else { Reach::Refused };
            assert_eq!(from.reach(to, *port), expected, "{a} to {b}:{port}");
        }
        // The kubelet comes from the node.
        assert_eq!(self.network.reach_from_the_node(&self.operator, PROBES), Reach::Reached);
    }
}

/// A policy as the API server has it: valid, with the values that it fills in.
fn accepted(story: &Story<'_>, policy: &Value) -> Value {
    let mut policy = policy.clone();
    policy["metadata"]["namespace"] = json!(story.namespace());
    let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    serde_json::from_str(&story.kubectl(&create, &policy.to_string())).expect("JSON")
}

/// With what the policy has to allow, the API server and the registry by their addresses.
const VALUES: &str = "
webhook: {enabled: true, secret: receivers}
ui: {enabled: true, anonymous: true}
networkPolicy:
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  webhookFrom: [{ipBlock: {cidr: 192.0.2.0/24}}]
  uiFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: apps}}}]
  egress:
    enabled: true
    rules:
      - {to: [{ipBlock: {cidr: 10.0.0.2/32}}], ports: [{port: 6443, protocol: TCP}]}
      - {to: [{ipBlock: {cidr: 10.0.0.3/32}}], ports: [{port: 5000, protocol: TCP}]}
";

/// Starts the operator in its pod, with its ports at these flags.
fn start(story: &Story<'_>, place: &Place, resolv_conf: &str, more: &[String]) -> Operator {
    let account = story.operator_account();
    // The certificate of the API server has none of the addresses of pods.
    let mut config: Value = serde_json::from_str(account.kubeconfig()).expect("JSON");
    let cluster = &mut config["clusters"][0]["cluster"];
    cluster["server"] = json!(format!("https://{}:{API}", place.api.facts.address));
    cluster["tls-server-name"] = json!("localhost");
    let local: SocketAddr = story.bed().url().trim_start_matches("https://").parse().expect("an address");
    place.api.pass_on(API, local);
    let launcher = place.operator.launcher(Path::new(BINARY), resolv_conf);
    let options = Options::new(BINARY, &account)
        .binary(&launcher)
        .kubeconfig(&config.to_string())
        .watching(&[story.namespace()])
        .metrics(&format!("0.0.0.0:{METRICS}"))
        .argument(&format!("--health-addr=0.0.0.0:{PROBES}"));
    let mut operator = more.iter().fold(options, |options, argument| options.argument(argument)).start();
    operator.wait_leader(story.bed());
    operator
}

/// The flags of a page without a sign-in, and of webhooks.
fn with_all_ports() -> Vec<String> {
    let receivers = processes::directory("receivers").join("receivers.yaml");
    let text = "apiVersion: supercargo.dev/v1alpha1\nkind: WebhookConfig\nreceivers: [{name: ci, type: generic, secret: 0123456789abcdef}]\n";
    std::fs::write(&receivers, text).expect("write a file");
    vec![
        format!("--webhook-addr=0.0.0.0:{WEBHOOK}"),
        format!("--webhook-config={}", receivers.display()),
        format!("--ui-addr=0.0.0.0:{PAGE}"),
        "--ui-anonymous".to_owned(),
    ]
}

#[story]
async fn the_policy_lets_through_what_the_operator_needs_and_nothing_else() {
    let story = Story::begin("network").await;
    let objects = helm::rendered(story.namespace(), VALUES);
    let deployment = helm::find(&objects, "Deployment", "supercargo").expect("a Deployment");
    let policy = helm::find(&objects, "NetworkPolicy", "supercargo").expect("a NetworkPolicy");
    let policy = accepted(&story, policy);
    let Some(place) = Place::new(story.namespace(), &deployment["spec"]["template"]) else { return };
    let registry = Registry::plain();
    for pod in [&place.registry, &place.elsewhere] {
        pod.pass_on(REGISTRY, registry.host().parse().expect("an address"));
    }
    let names = place.dns.names(place.registry.facts.address);
    place.network.enforce(std::slice::from_ref(&policy));

    // The operator works: it finds the registry by its name, and reaches both.
    let _operator = start(&story, &place, &names.resolv_conf(), &with_all_ports());
    registry.push_yaml("app", "1", &config_map("a", "one"));
    let named = format!("oci://registry.supercargo.test:{REGISTRY}/app");
    let spec = json!({"insecure": true, "retryInterval": "1s"});
    story.apply(&release(story.namespace(), "app", &named, spec.clone()).to_string());
    story.wait_ready("app", "1@").await;
    let asked = names.asked();
    assert!(asked.iter().any(|name| name == "registry.supercargo.test"), "{asked:?}");

    // It does not reach what the policy does not list, until it does.
    registry.push_yaml("other", "1", &config_map("b", "one"));
    let other = format!("oci://{}:{REGISTRY}/other", place.elsewhere.facts.address);
    story.apply(&release(story.namespace(), "other", &other, spec).to_string());
    let refused = story.wait_condition("other", "Ready", "False", "RegistryUnavailable").await;
    let says = condition(&refused, "Ready").expect("a condition").message;
    assert!(says.contains("10.0.0.4:5000"), "{says}");

    let Place { operator: own, api, registry: allowed, elsewhere, dns, .. } = &place;
    let Place { monitoring, neighbour, tenant, sender, metadata, .. } = &place;
    let attempts: [Attempt<'_>; 29] = [
        (monitoring, own, METRICS, true),
        (neighbour, own, METRICS, false),
        (tenant, own, METRICS, false),
        (sender, own, METRICS, false),
        (sender, own, WEBHOOK, true),
        (monitoring, own, WEBHOOK, false),
        (neighbour, own, WEBHOOK, false),
        (tenant, own, WEBHOOK, false),
        // A page without a sign-in, for the namespace of a proxy.
        (tenant, own, PAGE, true),
        (monitoring, own, PAGE, false),
        (neighbour, own, PAGE, false),
        (sender, own, PAGE, false),
        (monitoring, own, PROBES, false),
        (tenant, own, PROBES, false),
        (sender, own, PROBES, false),
        (monitoring, own, OTHER, false),
        (sender, own, OTHER, false),
        (own, api, API, true),
        (own, api, OTHER, false),
        (own, allowed, REGISTRY, true),
        (own, allowed, OTHER, false),
        (own, elsewhere, REGISTRY, false),
        (own, dns, 53, true),
        (own, dns, OTHER, false),
        (own, metadata, 80, false),
        (own, tenant, OTHER, false),
        (own, neighbour, OTHER, false),
        // The policy is about the operator alone.
        (tenant, neighbour, OTHER, true),
        (tenant, metadata, 80, true),
    ];
    place.check(&[policy], &attempts);
    assert_eq!(own.reach_by_udp(dns, 53), Reach::Reached);
    place.network.enforce(&[]);
    story.wait_ready("other", "1@").await;
}

#[story]
async fn without_a_chart_the_policy_opens_the_metrics_and_leaves_what_goes_out_alone() {
    let story = Story::begin("network-config").await;
    let read = |file: &str| -> Vec<Value> {
        let path = repository().join("config/manager").join(file);
        helm::objects(&std::fs::read_to_string(path).expect("read a file"))
    };
    let (deployment, policy) = (read("deployment.yaml"), read("network-policy.yaml"));
    let policy = accepted(&story, &policy[0]);
    let Some(place) = Place::new(story.namespace(), &deployment[0]["spec"]["template"]) else { return };
    for port in [METRICS, PROBES] {
        place.operator.listen(port);
    }
    let Place { operator: own, tenant, monitoring, sender, metadata, .. } = &place;
    let attempts: [Attempt<'_>; 7] = [
        (monitoring, own, METRICS, true),
        (tenant, own, METRICS, true),
        (tenant, own, PROBES, false),
        (sender, own, PROBES, false),
        (tenant, own, OTHER, false),
        (own, tenant, OTHER, true),
        (own, metadata, 80, true),
    ];
    place.check(&[policy], &attempts);
}

#[story]
async fn with_the_page_without_a_chart_the_policy_opens_its_port_too() {
    let story = Story::begin("network-page").await;
    let policy_of = |overlay: &str| {
        let objects = kustomized(overlay);
        accepted(&story, helm::find(&objects, "NetworkPolicy", "supercargo").expect("a NetworkPolicy"))
    };
    let objects = kustomized("page");
    let deployment = helm::find(&objects, "Deployment", "supercargo").expect("a Deployment");
    let Some(place) = Place::new(story.namespace(), &deployment["spec"]["template"]) else { return };
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str);
    let page: Vec<String> =
        arguments.filter(|argument| argument.starts_with("--ui-")).map(str::to_owned).collect();
    let names = place.dns.names(place.registry.facts.address);
    let _operator = start(&story, &place, &names.resolv_conf(), &page);
    let Place { operator: own, tenant, monitoring, sender, neighbour, metadata, .. } = &place;
    let is_open = async || (tenant.reach(own, PAGE) == Reach::Reached).then_some(());
    story.wait_for("the page is served", is_open).await;

    let attempts: [Attempt<'_>; 9] = [
        (tenant, own, PAGE, true),
        (sender, own, PAGE, true),
        (neighbour, own, PAGE, true),
        (monitoring, own, METRICS, true),
        (tenant, own, PROBES, false),
        (sender, own, PROBES, false),
        (tenant, own, OTHER, false),
        (own, tenant, OTHER, true),
        (own, metadata, 80, true),
    ];
    place.check(&[policy_of("page")], &attempts);
    // It is the component that opens it.
    let without: [Attempt<'_>; 2] = [(tenant, own, PAGE, false), (monitoring, own, METRICS, true)];
    place.check(&[policy_of("default")], &without);
}

#[story]
async fn no_registry_is_asked_that_answers_where_a_cloud_has_its_metadata() {
    let story = Story::begin("network-metadata").await;
    let objects = helm::rendered(story.namespace(), "");
    let deployment = helm::find(&objects, "Deployment", "supercargo").expect("a Deployment");
    let Some(place) = Place::new(story.namespace(), &deployment["spec"]["template"]) else { return };
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &config_map("a", "one"));
    for pod in [&place.registry, &place.metadata] {
        pod.pass_on(REGISTRY, registry.host().parse().expect("an address"));
    }
    let names = place.dns.names(place.metadata.facts.address);
    let _operator = start(&story, &place, &names.resolv_conf(), &[]);
    // No policy: the operator could reach both, and the same is served there.
    for pod in [&place.registry, &place.metadata] {
        assert_eq!(place.operator.reach(pod, REGISTRY), Reach::Reached);
    }
    let create = |name: &str, host: &str| {
        let url = format!("oci://{host}:{REGISTRY}/app");
        let spec = json!({"insecure": true, "retryInterval": "1s"});
        story.apply(&release(story.namespace(), name, &url, spec).to_string());
    };
    let named = "metadata.supercargo.test";
    for (name, host) in [("address", &*place.metadata.facts.address.to_string()), ("named", named)] {
        create(name, host);
        let refused = story.wait_condition(name, "Ready", "False", "RegistryUnavailable").await;
        let says = condition(&refused, "Ready").expect("a condition").message;
        assert!(says.contains("a link-local, metadata or reserved address"), "{name}: {says}");
    }
    assert!(names.asked().iter().any(|name| name == named), "{:?}", names.asked());
    assert_eq!(story.object("v1", "configmaps", "a").await, None);
    create("elsewhere", &place.registry.facts.address.to_string());
    story.wait_ready("elsewhere", "1@").await;
}

/// Each row is a rule that Kubernetes documents, so that what enforces policies here is no easier
/// than what does elsewhere.
#[story]
async fn policies_are_enforced_here_as_kubernetes_documents_them() {
    let story = Story::begin("network-bed").await;
    let Some(network) = Network::start() else { return };
    let home = story.namespace();
    let server = network.pod(PodFacts::new(home, address(1)).label("app", "server").port("web", 80));
    [80, 81, 90].into_iter().for_each(|port| server.listen(port));
    let client = network.pod(PodFacts::new(home, address(2)).label("app", "client"));
    let stranger = network.pod(PodFacts::new("other", address(3)).label("app", "client"));
    let check = |spec: Value, expected: [bool; 4]| {
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "a"}, "spec": spec});
        network.enforce(&[accepted(&story, &policy)]);
        let attempts = [(&client, 80), (&client, 81), (&client, 90), (&stranger, 80)];
        let found = attempts.map(|(from, port)| from.reach(&server, port) == Reach::Reached);
        assert_eq!(found, expected, "{spec}");
    };
    let all = [true; 4];
    let into = |rule: Value| json!({"podSelector": {"matchLabels": {"app": "server"}}, "ingress": [rule]});
    let out = |rule: Value| json!({"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"], "egress": [rule]});
    check(json!({"podSelector": {}}), [false; 4]);
    check(json!({"podSelector": {"matchLabels": {"app": "database"}}}), all);
    check(json!({"podSelector": {}, "policyTypes": ["Egress"]}), [false, false, false, true]);
    check(into(json!({})), all);
    check(into(json!({"ports": [{"port": 80}]})), [true, false, false, true]);
    check(into(json!({"ports": [{"port": "web"}]})), [true, false, false, true]);
    check(into(json!({"ports": [{"port": "metrics"}]})), [false; 4]);
    check(into(json!({"ports": [{"port": 80, "endPort": 81}]})), [true, true, false, true]);
    check(into(json!({"ports": [{"protocol": "UDP", "port": 80}]})), [false; 4]);
    // A selector of pods alone is about the namespace of the policy.
    let clients = json!({"matchLabels": {"app": "client"}});
    let others = json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}});
    check(into(json!({"from": [{"podSelector": clients}]})), [true, true, true, false]);
    check(into(json!({"from": [{"namespaceSelector": others}]})), [false, false, false, true]);
    check(
        into(json!({"from": [{"namespaceSelector": others, "podSelector": {"matchLabels": {"app": "x"}}}]})),
        [false; 4],
    );
    check(into(json!({"from": [{"namespaceSelector": {}, "podSelector": clients}]})), all);
    check(into(json!({"from": [{"podSelector": clients}, {"namespaceSelector": others}]})), all);
    check(
        into(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.2/32"]}}]})),
        [false, false, false, true],
    );
    check(out(json!({"ports": [{"port": 80}]})), [true, false, false, true]);
    check(out(json!({"to": [{"podSelector": {}}], "ports": [{"port": "web"}]})), [true, false, false, true]);
    check(out(json!({"to": [{"ipBlock": {"cidr": "10.0.1.0/24"}}]})), [false, false, false, true]);
    // What nothing listens on is another thing than what is refused.
    network.enforce(&[]);
    assert_eq!(client.reach(&server, 4), Reach::Closed);
}
