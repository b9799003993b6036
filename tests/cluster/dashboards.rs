//! The dashboards and the alerts on a real Prometheus that scrapes the operator
//! under load: every panel has data, and what is wrong is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::fetch::{self, Trust};
use supercargo_testbed::operator::Options;
use supercargo_testbed::prometheus::Target;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::{
    Operator, Profiles, Prometheus, Registry, Signer, ports, processes, repository, story, within,
};

use super::alerts::RULES;
use super::scene::{BINARY, Scene, config_map};

const PROFILES: Profiles =
    Profiles::First("panels and alerts do not depend on rights, and it takes a minute");

/// For everything that Prometheus has to see first.
pub const LIMIT: Duration = Duration::from_secs(120);
/// The secret of the receiver of webhooks.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// What Grafana puts in place of its own variables.
const WINDOWS: &[(&str, &str)] = &[("$__rate_interval", "30s"), ("$__interval", "30s"), ("$__range", "5m")];
/// Pauses and windows of the alerts that a test cannot wait for, and shorter ones.
const SHORTER: &[(&str, &str)] = &[
    ("[15m]", "[30s]"),
    ("[10m]", "[30s]"),
    ("[1h]", "[30s]"),
    ("offset 10m", "offset 15s"),
    ("> 20\n", "> 1\n"),
];

/// The rules, with every `for` of a second and short windows.
fn rules() -> String {
    let text = std::fs::read_to_string(repository().join(RULES)).expect("the rules");
    let text = SHORTER.iter().fold(text, |text, (long, short)| text.replace(long, short));
    let shortened = |line: &str| match line.trim_start().starts_with("for: ") {
        true => "        for: 1s".to_owned(),
        false => line.to_owned(),
    };
    text.lines().map(shortened).collect::<Vec<_>>().join("\n")
}

pub fn dashboard(name: &str) -> Value {
    let path = repository().join(format!("charts/supercargo/dashboards/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).expect("a dashboard")).expect("a dashboard is JSON")
}

pub fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

/// A text with Grafana's variables replaced; the longer names first.
pub fn substitute(text: &str, variables: &BTreeMap<String, String>) -> String {
    let text = WINDOWS.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    variables.iter().rev().fold(text, |text, (name, value)| text.replace(&format!("${name}"), value))
}

/// The values of a dashboard's variables, asked as Grafana asks for them. Of the
/// releases, the one that is given.
pub fn variables(prometheus: &Prometheus, board: &Value, release: (&str, &str)) -> BTreeMap<String, String> {
    let mut chosen = BTreeMap::new();
    for variable in list(&board["templating"], "list").filter(|variable| variable["type"] == "query") {
        let name = variable["name"].as_str().expect("a name");
        let query = substitute(variable["query"]["query"].as_str().expect("a query"), &chosen);
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inner.expect("label_values(…)").rsplit_once(", ").expect("a label");
        let values = prometheus.label_values(label, Some(selector));
        assert!(!values.is_empty(), "{name}: {query} has no values");
        let wanted = match name {
            "release_namespace" => release.0,
            "release" => release.1,
            _ => {
                chosen.insert(name.to_owned(), variable["allValue"].as_str().expect("All").to_owned());
                continue;
            }
        };
        assert!(values.iter().any(|value| value == wanted), "{name}: {query} gives {values:?}");
        chosen.insert(name.to_owned(), wanted.to_owned());
    }
    chosen
}

/// What a counter that nobody moves has as well: of these metrics, 0 is no data.
const MOVED: &[&str] = &["supercargo_webhook_"];

/// The queries of all panels that have no data now.
fn without_data(prometheus: &Prometheus, release: (&str, &str)) -> BTreeSet<String> {
    let mut empty = BTreeSet::new();
    for name in ["fleet", "release", "controller"] {
        let board = dashboard(name);
        let variables = variables(prometheus, &board, release);
        for panel in list(&board, "panels") {
            for target in list(panel, "targets") {
                let query = substitute(target["expr"].as_str().expect("a query"), &variables);
                let moved = MOVED.iter().any(|metric| query.contains(metric));
                let number = |sample: &Value| {
                    sample["value"][1].as_str().is_some_and(|v| v != "NaN" && !(moved && v == "0"))
                };
                if !prometheus.query(&query).iter().any(number) {
                    empty.insert(format!("{name}: {}: {query}", panel["title"]));
                }
            }
        }
    }
    empty
}

/// The labels of what a query of a panel of the fleet gives for a release; none if it gives nothing.
fn row(prometheus: &Prometheus, (panel, query): (&str, &str), release: (&str, &str)) -> Option<Value> {
    let board = dashboard("fleet");
    let variables = variables(prometheus, &board, release);
    let mut targets =
        list(&board, "panels").filter(|one| one["title"] == panel).flat_map(|p| list(p, "targets"));
    let target = targets.find(|target| target["refId"] == query).expect("a query of the panel");
    let query = substitute(target["expr"].as_str().expect("a query"), &variables);
    let rows = prometheus.query(&query);
    rows.into_iter().map(|row| row["metric"].clone()).find(|labels| labels["release"] == release.1)
}

/// A release that never had a success, and what has become of it: since when, and what was attempted.
fn since_when_and_what(prometheus: &Prometheus, namespace: &str) {
    let of = |name, panel, query| row(prometheus, (panel, query), (namespace, name));
    let broken = "Broken, and since when";
    for name in ["stalled", "refused", "missing-a"] {
        assert!(of(name, broken, "B").is_some(), "since when {name} is broken is not shown");
        assert_eq!(of(name, broken, "C"), None, "{name} never had a success");
    }
    for panel in [(broken, "D"), ("Changed within an hour", "A")] {
        let labels = of("stalled", panel.0, panel.1).expect("a row");
        let attempted = labels["attempted_revision"].as_str().unwrap_or_default();
        assert!(attempted.starts_with("1@sha256:"), "{labels}");
        assert_eq!(labels["revision"].as_str().unwrap_or_default(), "", "{labels}");
    }
}

pub fn target(operator: &Operator) -> Target {
    let labels = vec![("namespace".to_owned(), "supercargo-system".to_owned())];
    Target { address: operator.address().to_owned(), labels }
}

/// Name and release of every alert that fires.
fn firing(prometheus: &Prometheus) -> BTreeSet<String> {
    let name = |alert: &Value| {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", label("alertname"), label("release")).trim_end().to_owned()
    };
    prometheus.firing().iter().map(name).collect()
}

#[track_caller]
fn wait_firing(prometheus: &Prometheus, expected: &[&str]) {
    // Not all at one moment: retries get rarer than the shortened windows.
    let mut missing: BTreeSet<String> = expected.iter().map(|alert| (*alert).to_owned()).collect();
    let all = within(LIMIT, || {
        missing = &missing - &firing(prometheus);
        missing.is_empty()
    });
    assert!(all, "{missing:?} do not fire\n{}", prometheus.tail());
}

/// The trust policy: artifacts below `acme` are signed by this key.
struct Policy(std::path::PathBuf);

impl Policy {
    fn new(signer: &Signer, registry: &Registry) -> Policy {
        let directory = processes::directory("policy");
        std::fs::write(directory.join("cosign.pub"), signer.public_pem()).expect("write a file");
        let keys = json!([{"name": "acme", "file": "cosign.pub"}]);
        let prefix = format!("{}/acme", registry.host());
        let policy = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "TrustPolicy",
            "registries": [{"prefix": prefix, "keys": keys}],
        });
        let policy = (policy.to_string(), Policy(directory.join("policy.yaml")));
        policy.1.write(&policy.0);
        policy.1
    }

    fn write(&self, text: &str) {
        let next = self.0.with_extension("next");
        std::fs::write(&next, text).expect("write a file");
        std::fs::rename(&next, &self.0).expect("rename a file");
    }
}

/// Releases that are well: one with health and a second revision that prunes, one
/// that drifts, one that is signed.
async fn good_releases(scene: &Scene<'_>, signer: &Signer) {
    let often = json!({"interval": "10s", "retryInterval": "1s", "wait": true});
    let two = config_map("web", "one") + &config_map("web-old", "one");
    scene.push("web", "1", &two);
    let digest = scene.registry().push_yaml("acme/signed", "1", &config_map("signed", "one"));
    let reference = format!("{}/acme/signed@{digest}", scene.registry().host());
    signer.sign(scene.registry(), &reference, Format::Bundle, &[]);
    scene.create("web", often.clone());
    let mut spec = often;
    spec["url"] = format!("oci://{}/acme/signed", scene.registry().host()).into();
    scene.create("signed", spec);
    scene.install("fades", &config_map("fades", "one"), json!({"retryInterval": "1s"})).await;
    scene.story.wait_ready("web", "1@").await;
    scene.story.wait_ready("signed", "1@").await;
    scene.push("web", "2", &config_map("web", "two"));
    scene.change("web", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("web", "2@").await;
}

/// Releases that are not: in every way that a dashboard or an alert tells of.
async fn bad_releases(scene: &Scene<'_>) {
    let host = scene.registry().host();
    let url = |repository: &str| format!("oci://{host}/{repository}");
    scene.push("stalled", "1", "this is: [no manifest");
    scene.registry().push_yaml("acme/refused", "1", &config_map("refused", "one"));
    scene.push("report", "1", &config_map("report", "one"));
    scene.create("stalled", json!({"interval": "10s"}));
    scene.create("refused", json!({"url": url("acme/refused"), "retryInterval": "1s"}));
    scene.create("report", json!({"drift": {"mode": "Report"}}));
    scene.create("paused", json!({"suspend": true, "url": url("web")}));
    // Nobody listens there.
    let nowhere = format!("oci://127.0.0.1:{}/away", ports::free());
    scene.create("away", json!({"url": nowhere, "retryInterval": "1s"}));
    // One that was well before.
    scene.change("fades", json!({"ref": {"tag": "gone"}}));
    for name in ["missing-a", "missing-b"] {
        scene.create(name, json!({"retryInterval": "1s"}));
    }
    scene.story.wait_ready("report", "1@").await;
    for name in ["report", "web"] {
        scene.edit(name, "edited");
    }
    scene.wait_data("web", "two").await;
}

/// A file with the receiver `registry`.
fn receivers() -> String {
    let path = processes::directory("receivers").join("receivers.yaml");
    let config = json!({
        "apiVersion": "supercargo.dev/v1alpha1",
        "kind": "WebhookConfig",
        "receivers": [{"name": "registry", "type": "distribution", "secret": SECRET}],
    });
    std::fs::write(&path, config.to_string()).expect("write a file");
    path.display().to_string()
}

/// A registry tells of a push again and again, and so does a stranger, until the end
/// of the test: rates fall back to 0.
struct Pushes {
    stop: mpsc::Sender<()>,
    sending: thread::JoinHandle<()>,
}

impl Pushes {
    fn start(address: &str, registry: &str) -> Pushes {
        let url = format!("http://{address}/hook/registry");
        let event = json!({
            "action": "push",
            "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": "web", "tag": "2"},
            "request": {"host": registry},
        });
        let body = json!({"events": [event]}).to_string();
        let (stop, stopped) = mpsc::channel();
        let send = move || {
            let ask = |authorization: &str| {
                let headers = [("authorization", authorization)];
                fetch::send("POST", &url, &headers, body.as_bytes(), Trust::default()).code
            };
            let pause = Duration::from_millis(500);
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                assert_eq!((ask(&format!("Bearer {SECRET}")), ask("Bearer guessed")), (200, 401));
            }
        };
        Pushes { stop, sending: thread::spawn(send) }
    }

    fn end(self) {
        drop(self.stop);
        self.sending.join().expect("webhooks are answered");
    }
}

#[story]
async fn every_panel_has_data_and_alerts_fire_for_what_is_wrong() {
    let registry = Registry::plain();
    let signer = Signer::new(Algorithm::P256);
    let policy = Policy::new(&signer, &registry);
    let flag = format!("--trust-policy={}", policy.0.display());
    let (address, receivers) = (format!("127.0.0.1:{}", ports::free()), receivers());
    let scene =
        Scene::builder("dashboards").await.own_registry(registry).slow_retries().start_with(|options| {
            options
                .argument(&flag)
                .argument(&format!("--webhook-addr={address}"))
                .argument(&format!("--webhook-config={receivers}"))
        });
    let Scene { story, .. } = &scene;
    let mut spare = Options::new(BINARY, &story.operator_account())
        .watching(&[story.namespace()])
        .argument(&flag)
        .start();
    spare.wait_ready();
    let prometheus = Prometheus::start(&[target(&scene.operator), target(&spare)], &rules());

    good_releases(&scene, &signer).await;
    let seen = "min(count_over_time(supercargo_release_ready{reason=\"ReconciliationSucceeded\"}[1m])) > 5";
    assert!(within(LIMIT, || !prometheus.query(seen).is_empty()), "{}", prometheus.tail());
    assert_eq!(firing(&prometheus), BTreeSet::new());

    bad_releases(&scene).await;
    let pushes = Pushes::start(&address, &scene.registry().host());
    let mut empty = without_data(&prometheus, (story.namespace(), "web"));
    let all = within(LIMIT, || {
        empty = &empty & &without_data(&prometheus, (story.namespace(), "web"));
        empty.is_empty()
    });
    assert!(all, "no data: {empty:#?}");
    since_when_and_what(&prometheus, story.namespace());
    let healthy = |rule: &Value| rule["health"] == "ok";
    assert!(prometheus.rules().iter().all(healthy), "{:?}", prometheus.rules());

    policy.write("not a policy");
    let mut edits = 0;
    let drifting = within(LIMIT, || {
        edits += 1;
        let patch = json!({"data": {"key": format!("edited {edits}")}}).to_string();
        story.kubectl(&["patch", "configmap", "web", "-p", &patch], "");
        firing(&prometheus).contains("SupercargoDriftRepeated")
    });
    assert!(drifting, "drift that is put back again and again is not told");
    wait_firing(
        &prometheus,
        &[
            "SupercargoReleaseNotReady missing-a",
            "SupercargoReleaseStalled stalled",
            "SupercargoVerificationRefused refused",
            "SupercargoReleaseSuspended paused",
            "SupercargoReleaseDrifted report",
            "SupercargoManyReleasesNotReady",
            "SupercargoRegistryErrors",
            "SupercargoTrustPolicyNotLoaded",
            "SupercargoWebhooksRefused",
        ],
    );
    pushes.end();
    end(scene, spare, &prometheus);
}

/// Replicas go away: nobody leads until the lease has run out, then nobody is there.
fn end(mut scene: Scene<'_>, mut spare: Operator, prometheus: &Prometheus) {
    scene.operator.kill();
    wait_firing(prometheus, &["SupercargoNoLeader"]);
    spare.kill();
    wait_firing(prometheus, &["SupercargoDown"]);
}
