//! Push instead of poll: what a webhook makes run, and what it does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::fetch::{self, Trust};
use supercargo_testbed::operator::Options;
use supercargo_testbed::proxy::Moment;
use supercargo_testbed::registry::{self, Notify};
use supercargo_testbed::{Profiles, Proxy, Registry, Story, ports, processes, story};

use super::scene::{BINARY, Scene, config_map};

const PROFILES: Profiles = Profiles::First("what registries send does not depend on rights");

/// The secret of every receiver here.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A file with the receivers, each `{name: …, type: …}` and more.
pub fn config(receivers: &[Value]) -> String {
    let receivers: Vec<Value> = receivers
        .iter()
        .map(|receiver| {
            let mut receiver = receiver.clone();
            receiver["secret"] = json!(SECRET);
            receiver
        })
        .collect();
    let path = processes::directory("webhooks").join("config.yaml");
    let text =
        json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "WebhookConfig", "receivers": receivers});
    std::fs::write(&path, text.to_string()).expect("write a file");
    path.display().to_string()
}

pub fn receiving(options: Options, address: &str, config: &str) -> Options {
    options.argument(&format!("--webhook-addr={address}")).argument(&format!("--webhook-config={config}"))
}

/// A registry that tells of its pushes at this address, to the receiver `registry`.
fn telling(address: &str) -> Registry {
    Registry::start(&registry::Options {
        notify: Some(Notify {
            url: format!("http://{address}/hook/registry"),
            authorization: format!("Bearer {SECRET}"),
        }),
        ..registry::Options::default()
    })
}

/// Never by itself, as far as a test is concerned.
fn slow(registry: &Registry, repository: &str) -> Value {
    json!({"url": format!("oci://{}/{repository}", registry.host()), "interval": "24h"})
}

#[story]
async fn a_push_to_the_registry_is_applied_without_waiting_for_the_interval() {
    let address = format!("127.0.0.1:{}", ports::free());
    let config = config(&[json!({"name": "registry", "type": "distribution"})]);
    let scene = Scene::of(Story::begin("webhook-push").await)
        .start_with(|options| receiving(options, &address, &config));
    let registry = telling(&address);
    registry.push_yaml("app", "1", &config_map("c", "one"));
    scene.create("app", slow(&registry, "app"));
    scene.story.wait_ready("app", "1@").await;
    scene.wait_data("c", "one").await;

    registry.push_yaml("app", "1", &config_map("c", "two"));
    scene.wait_data("c", "two").await;
    let log = scene.operator.log();
    assert!(log.contains("webhook") && log.contains(&format!("{}/app", scene.namespace())), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

/// Asks a receiver for a run, as one of type generic asks.
pub fn ask(address: &str, name: &str, body: &Value) -> Value {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let time = format!("{now}.{:09}", ASKED.fetch_add(1, Ordering::Relaxed));
    let body = body.to_string();
    let signature = sign(&format!("{time}.{body}"));
    let headers = [("supercargo-timestamp", time.as_str()), ("supercargo-signature", &signature)];
    post(address, &format!("/hook/{name}"), &headers, &body)
}

/// Sends a webhook that is taken, and returns what it has triggered.
fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let url = format!("http://{address}{path}");
    let answer = fetch::send("POST", &url, headers, body.as_bytes(), Trust::default());
    assert_eq!(answer.code, 200, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, text.as_bytes())))
}

/// What has asked the release to run.
async fn asked(scene: &Scene<'_>, name: &str) -> Option<String> {
    let release = scene.story.release(name).await.expect("the release");
    release["metadata"]["annotations"]["supercargo.dev/reconcile-at"].as_str().map(str::to_owned)
}

#[story]
async fn a_webhook_reaches_what_follows_the_push_and_nothing_else() {
    let address = format!("127.0.0.1:{}", ports::free());
    let story = Story::begin("webhook-reach").await;
    let (beside, outside) = (story.another_namespace("beside"), story.another_namespace("outside"));
    let config = config(&[
        json!({"name": "all", "type": "generic"}),
        json!({"name": "narrow", "type": "generic", "namespaces": [beside]}),
    ]);
    let scene = Scene::of(story).watching(&[&beside]).start_with(|options| {
        receiving(options, &address, &config).argument("--watch-label-selector=watched=yes")
    });
    let digest = scene.push("app", "1", &config_map("c", "one"));
    scene.push("app", "1.2.3", &config_map("c", "one"));
    let create = |name: &str, namespace: &str, spec: &Value| {
        let mut release = scene.release(name, json!({"url": scene.url("app"), "interval": "24h"}));
        release["metadata"]["namespace"] = json!(namespace);
        release["metadata"]["labels"] = json!({"watched": if name == "unlabelled" { "no" } else { "yes" }});
        for (field, value) in spec.as_object().expect("a spec") {
            release["spec"][field] = value.clone();
        }
        scene.story.bed().kubectl(&["create", "-f", "-"], &release.to_string());
    };
    let here = scene.namespace();
    create("tagged", here, &json!({}));
    create("ranged", here, &json!({"ref": {"semver": "~1.2"}}));
    create("other-tag", here, &json!({"ref": {"tag": "2"}}));
    create("pinned", here, &json!({"ref": {"digest": digest}}));
    create("suspended", here, &json!({"suspend": true}));
    create("unlabelled", here, &json!({}));
    create("tagged", &beside, &json!({}));
    create("tagged", &outside, &json!({}));

    let repository = scene.url("app");
    let push = |tag: &str| json!({"repository": repository, "tag": tag});
    let triggered = |answer: &Value| {
        let mut names: Vec<String> = serde_json::from_value(answer["triggered"].clone()).expect("names");
        names.sort();
        names
    };
    let of = |names: &[(&str, &str)]| {
        let mut names: Vec<String> =
            names.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        names.sort();
        names
    };
    let narrow = ask(&address, "narrow", &push("1"));
    assert_eq!(triggered(&narrow), of(&[(&beside, "tagged")]));
    let all = ask(&address, "all", &push("1"));
    assert_eq!(triggered(&all), of(&[(here, "tagged"), (&beside, "tagged")]));
    assert_eq!(triggered(&ask(&address, "all", &push("1.2.4"))), of(&[(here, "ranged")]));
    let none = ask(&address, "all", &push("3.0.0"));
    assert_eq!(triggered(&none), Vec::<String>::new());
    assert!(none["ignored"][0].as_str().is_some_and(|why| why.starts_with("no release follows")), "{none}");
    // Without a tag, whatever could have moved.
    let every = ask(&address, "all", &json!({"repository": repository}));
    let movable = [(here, "tagged"), (here, "ranged"), (here, "other-tag"), (&beside, "tagged")];
    assert_eq!(triggered(&every), of(&movable));

    assert!(asked(&scene, "tagged").await.is_some_and(|token| token.contains("-webhook-")));
    for untouched in ["pinned", "suspended", "unlabelled"] {
        assert_eq!(asked(&scene, untouched).await, None, "{untouched}");
    }
    let elsewhere = scene
        .story
        .object_in(Some(&outside), "supercargo.dev/v1alpha1", "ociartifactreleases", "tagged")
        .await;
    assert_eq!(elsewhere.expect("the release").pointer("/metadata/annotations"), None);
}

#[story]
async fn the_replica_that_does_not_lead_takes_webhooks_as_well() {
    let story = Story::begin("webhook-standby").await;
    let account = story.operator_account();
    let config = config(&[json!({"name": "ci", "type": "generic"})]);
    let registry = super::scene::registry();
    let repository = story.namespace();
    let addresses = [(); 2].map(|()| format!("127.0.0.1:{}", ports::free()));
    let start = |address: &str| {
        let options = Options::new(BINARY, &account).watching(&[story.namespace()]);
        receiving(options, address, &config).start()
    };
    let mut leader = start(&addresses[0]);
    leader.wait_leader(story.bed());
    leader.wait_ready();
    let mut standby = start(&addresses[1]);
    standby.wait_ready();

    registry.push_yaml(repository, "1", &config_map("c", "one"));
    story.apply(&format!(
        "apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: app}}
spec: {{url: 'oci://{}/{repository}', ref: {{tag: '1'}}, insecure: true, prune: true, interval: 24h}}
",
        registry.host()
    ));
    story.wait_ready("app", "1@").await;
    registry.push_yaml(repository, "1", &config_map("c", "two"));
    let push = json!({"repository": format!("{}/{repository}", registry.host()), "tag": "1"});
    let answer = ask(&addresses[1], "ci", &push);
    assert_eq!(answer["triggered"], json!([format!("{}/app", story.namespace())]), "{answer}");
    story
        .wait_for("what was pushed is applied", async || {
            let map = story.object("v1", "configmaps", "c").await?;
            (map["data"]["key"] == "two").then_some(())
        })
        .await;
    let held = standby.metric("supercargo_leader");
    assert_eq!(held, Some(0.0), "it was the other one");
    assert!(!leader.log().contains("receiver=ci"), "{}", leader.log());
}

#[story]
async fn of_a_burst_of_pushes_few_runs_come_and_the_last_is_applied() {
    let address = format!("127.0.0.1:{}", ports::free());
    let config = config(&[json!({"name": "registry", "type": "distribution"})]);
    let scene = Scene::of(Story::begin("webhook-burst").await)
        .start_with(|options| receiving(options, &address, &config));
    let registry = telling(&address);
    registry.push_yaml("app", "1", &config_map("c", "first"));
    scene.create("app", slow(&registry, "app"));
    scene.story.wait_ready("app", "1@").await;

    let mark = scene.mark();
    let began = Instant::now();
    let mut last = String::new();
    for n in 1..=100 {
        last = registry.push_yaml("app", "1", &config_map("c", &format!("burst-{n}")));
    }
    scene.wait_data("c", "burst-100").await;
    scene.story.wait_ready("app", &format!("1@{last}")).await;
    let requests = scene.requests(mark);
    let asks = |r: &Request| {
        let patches = r.resource == "ociartifactreleases" && r.verb == "patch" && r.subresource.is_empty();
        patches && r.code == 200
    };
    let asked = requests.iter().filter(|request| asks(request)).count();
    // After 250 ms, 500 ms, 1 s, …; when it has settled in between, from the beginning:
    // twice in 750 ms at most.
    let most = 4 + 3 * began.elapsed().as_secs() as usize;
    assert!((1..=most).contains(&asked), "{asked} times asked to run by 100 pushes, more than {most}");
}

/// A release that follows `proxy`, of which a blob is held, and what was asked of it.
struct Held<'a> {
    scene: Scene<'a>,
    proxy: Proxy,
    registry: Registry,
    address: String,
}

impl Held<'static> {
    /// `c` is `one`, and `two` is pushed, told and being pulled.
    async fn begin(name: &str) -> (Held<'static>, [String; 2]) {
        let address = format!("127.0.0.1:{}", ports::free());
        let config = config(&[json!({"name": "ci", "type": "generic"})]);
        let scene =
            Scene::of(Story::begin(name).await).start_with(|options| receiving(options, &address, &config));
        let registry = Registry::plain();
        let proxy = Proxy::before(&registry.url(), None);
        let one = registry.push_yaml("app", "1", &config_map("c", "one"));
        scene.create("app", json!({"url": format!("oci://{}/app", proxy.host()), "interval": "24h"}));
        scene.story.wait_ready("app", "1@").await;
        let two = registry.push_yaml("app", "1", &config_map("c", "two"));
        proxy.forget();
        proxy.hold_from(1, Moment::Before, |seen| seen.method == "GET" && seen.path.contains("/blobs/"));
        let held = Held { scene, proxy, registry, address };
        held.tell(&two);
        let pulling = held.proxy.wait_held(Duration::from_secs(60), Moment::Before);
        assert!(pulling.is_some(), "{}", held.scene.operator.log());
        (held, [one, two])
    }

    fn tell(&self, digest: &str) {
        let push = json!({"repository": format!("{}/app", self.proxy.host()), "tag": "1", "digest": digest});
        let answer = ask(&self.address, "ci", &push);
        assert_eq!(answer["triggered"], json!([format!("{}/app", self.scene.namespace())]), "{answer}");
    }

    /// Waits until the release was looked at so often since then.
    async fn wait_looks(&self, mark: Mark, times: usize) {
        self.scene
            .story
            .wait_for("the release is looked at", async || {
                let requests = self.scene.requests(mark);
                let looks = requests.iter().filter(|r| r.uri.contains("fieldSelector=metadata.name"));
                (looks.count() >= times).then_some(())
            })
            .await;
    }

    fn let_go(&self) {
        self.proxy.pass_all();
        self.proxy.release();
    }
}

#[story]
async fn a_slow_pull_is_not_begun_again_and_again_for_one_push() {
    let (held, _) = Held::begin("webhook-slow").await;
    let mark = held.scene.mark();
    // 250 ms, 750 ms, 1.75 s after it was asked.
    held.wait_looks(mark, 3).await;
    held.let_go();
    held.scene.wait_data("c", "two").await;
    let blobs = held.proxy.count(|seen| seen.method == "GET" && seen.path.contains("/blobs/"));
    assert!(blobs <= 2, "the blob was fetched {blobs} times");
}

#[story]
async fn a_tag_that_is_moved_back_during_a_run_is_followed() {
    let (held, [one, _]) = Held::begin("webhook-back").await;
    let mark = held.scene.mark();
    assert_eq!(held.registry.push_yaml("app", "1", &config_map("c", "one")), one);
    held.tell(&one);
    held.wait_looks(mark, 2).await;
    held.let_go();
    held.scene
        .story
        .wait_for("the run is over that was asked for last, and it was about the last push", async || {
            let release = held.scene.story.release("app").await?;
            let asked = &release["metadata"]["annotations"]["supercargo.dev/reconcile-at"];
            let attempted = release["status"]["lastAttemptedRevision"].as_str()?;
            (release["status"]["lastHandledReconcileAt"] == *asked && attempted.ends_with(&one)).then_some(())
        })
        .await;
    held.scene.wait_data("c", "one").await;
}

#[story]
async fn every_sender_is_taken_in_its_own_form_with_its_own_proof() {
    let address = format!("127.0.0.1:{}", ports::free());
    let registry = super::scene::registry();
    let host = registry.host();
    let types = ["distribution", "dockerhub", "github", "harbor", "quay", "acr", "generic"];
    // Their payloads name hosts that are not here.
    let receivers = types.map(|kind| json!({"name": kind, "type": kind, "registry": host}));
    let config = config(&receivers);
    let scene = Scene::of(Story::begin("webhook-forms").await)
        .start_with(|options| receiving(options, &address, &config));
    // Its repository has another name, so that an answer cannot show one for the other.
    scene.push("source", "1", &config_map("c", "one"));
    scene.create("app", json!({"url": scene.url("source"), "interval": "24h"}));
    scene.story.wait_ready("app", "1@").await;
    let repository = scene.repository("source");
    let bearer = format!("Bearer {SECRET}");
    let authorization = [("authorization", bearer.as_str())];
    let secret_path = |name: &str| format!("/hook/{}", sign(name).trim_start_matches("sha256="));
    let expected = json!([format!("{}/app", scene.namespace())]);
    let check = |path: &str, headers: &[(&str, &str)], body: &Value| {
        let answer = post(&address, path, headers, &body.to_string());
        assert_eq!(answer["triggered"], expected, "{path}: {answer}");
    };
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let event = json!({"id": "1", "action": "push", "request": {"host": "internal:5000"},
        "target": {"mediaType": media_type, "repository": repository, "tag": "1"}});
    check("/hook/distribution", &authorization, &json!({"events": [event]}));
    let hub = json!({"push_data": {"pushed_at": 1, "tag": "1"}, "repository": {"repo_name": repository}});
    check(&secret_path("dockerhub"), &[], &hub);
    let package = json!({"action": "published", "package": {"name": repository, "namespace": "acme", "package_type": "CONTAINER",
        "package_version": {"package_url": format!("ghcr.io/{repository}:1"),
                            "container_metadata": {"tag": {"name": "1", "digest": ""}}}}});
    check(
        "/hook/github",
        &[("x-github-event", "package"), ("x-hub-signature-256", &sign(&package.to_string()))],
        &package,
    );
    let harbor = json!({"type": "PUSH_ARTIFACT", "occur_at": 1, "event_data": {
        "resources": [{"tag": "1", "resource_url": format!("harbor.example/{repository}:1")}]}});
    check("/hook/harbor", &authorization, &harbor);
    let quay = json!({"name": "app", "docker_url": format!("quay.io/{repository}"), "updated_tags": ["1"]});
    check(&secret_path("quay"), &[], &quay);
    let acr = json!({"id": "1", "action": "push", "target": {"repository": repository, "tag": "1"},
        "request": {"host": "acme.azurecr.io"}});
    check("/hook/acr", &authorization, &acr);
    let generic =
        ask(&address, "generic", &json!({"repository": format!("oci://r.example/{repository}"), "tag": "1"}));
    assert_eq!(generic["triggered"], expected, "{generic}");

    let stranger = |path: &str| {
        fetch::send("POST", &format!("http://{address}{path}"), &[], b"{}", Trust::default()).code
    };
    assert_eq!([stranger("/hook/harbor"), stranger("/hook/nobody")], [401, 401]);
    let count = |result: &str, sender: &str| {
        let labels = format!("result=\"{result}\",sender=\"{sender}\"");
        scene.operator.metric(&format!("supercargo_webhook_requests_total{{{labels}}}"))
    };
    for kind in types {
        assert_eq!(count("accepted", kind), Some(1.0), "{kind}");
    }
    let made_up = [("authorization", "Bearer something-made-up")];
    let url = format!("http://{address}/hook/harbor");
    assert_eq!(fetch::send("POST", &url, &made_up, b"{}", Trust::default()).code, 401);
    let refused = ["harbor", "unknown"].map(|sender| count("unauthorized", sender));
    assert_eq!(refused, [Some(1.0), Some(2.0)], "who proves nothing is not its sender");
    assert_eq!(scene.operator.metric("supercargo_webhook_triggers_total"), Some(7.0));

    scene
        .story
        .wait_for("the run is over that was asked for last", async || {
            let release = scene.story.release("app").await?;
            let asked =
                release["metadata"]["annotations"]["supercargo.dev/reconcile-at"].as_str()?.to_owned();
            (release["status"]["lastHandledReconcileAt"] == asked && asked.contains("-webhook-"))
                .then_some(())
        })
        .await;
}
