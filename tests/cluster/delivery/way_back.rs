//! What is in the way of a way back: an API server that fails, an earlier revision that is not trusted
//! any more, and one that is nowhere any more.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use supercargo_testbed::proxy::{Fate, Seen};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Proxy, Registry, Signer, Story, story};

use crate::delivery::rollback::{outcomes, quarantined};
use crate::scene::{Scene, config_map, message, text};

const PROFILES: Profiles = Profiles::First("what a failed revision leads to does not depend on rights");

/// A release that goes back, and whose ConfigMaps are healthy when they have a value, and fail when
/// another manager says so.
fn judged() -> Value {
    let rule = json!({"apiVersion": "v1", "kind": "ConfigMap", "current": "data.key != ''",
        "failed": "has(data.broken) && data.broken == 'yes'"});
    json!({"wait": true, "timeout": "10m", "rollback": {"mode": "OnFailure"}, "healthCheckExprs": [rule]})
}

/// A revision whose health is open until the story decides, with an object that only it has.
fn open(name: &str) -> String {
    config_map(name, "two") + &config_map(&format!("{name}-new"), "")
}

/// Waits until a release waits for the health of its second revision.
async fn waits(scene: &Scene<'_>, release: &str) {
    scene.wait_data(&format!("{release}-new"), "").await;
    scene.wait_message(release, "Unknown", "(revision 2@").await;
}

/// The second revision fails now.
fn fail(scene: &Scene<'_>, release: &str) {
    scene.patch("v1", "configmaps", &format!("{release}-new"), json!({"data": {"broken": "yes"}}));
}

/// The old revision is there and nothing of the new one, after one way back.
async fn is_back(scene: &Scene<'_>, release: &str) -> Value {
    let rolled = scene.story.wait_condition(release, "Ready", "False", "RolledBack").await;
    assert_eq!(scene.data(release).await.as_deref(), Some("one"), "{release}");
    assert_eq!(scene.named(release).await, [release]);
    assert_eq!(quarantined(&rolled).len(), 1, "{rolled:#}");
    assert_eq!(rolled["status"]["quarantine"][0].get("frozen"), None, "{rolled:#}");
    assert_eq!(outcomes(&rolled), ["Healthy", "Failed", "Healthy"], "{rolled:#}");
    let failure = &rolled["status"]["failures"][0];
    assert_eq!(text(failure, "/object"), format!("ConfigMap/{}/{release}-new", scene.namespace()));
    assert_eq!(text(failure, "/reason"), "HealthCheckFailed");
    assert_eq!(condition(&rolled, "Healthy").expect("it is judged").status, "True");
    rolled
}

/// The faults, after which the releases are named.
const FAULTS: [&str; 4] = ["busy", "away", "conflict", "cut"];

/// What a request about one of the releases is, and its fault.
fn fault(seen: &Seen) -> Option<(&'static str, &'static str, Fate)> {
    let path = seen.path.split('?').next().unwrap_or_default();
    let named = |fault: &&str| path.contains(&format!("app-{fault}"));
    let fault = FAULTS.into_iter().find(named)?;
    let what = match seen.method.as_str() {
        "GET" if seen.path.contains("watch=") || fault == "conflict" => return None,
        "GET" => "read",
        _ if path.contains("/ociartifactreleases/") => "status",
        _ if path.contains("/configmaps/inv-") => "inventory",
        _ if seen.path.contains("dryRun=All") => "dry run",
        "DELETE" => "deletion",
        _ => "object",
    };
    let status = |code: u16, reason: &str| {
        let message = format!("a fault of the story: {reason}");
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
            "message": message});
        Fate::Answer(code, body.to_string())
    };
    let fate = match fault {
        "busy" => status(429, "TooManyRequests"),
        "away" => status(503, "ServiceUnavailable"),
        "conflict" => status(409, "Conflict"),
        _ => Fate::Cut,
    };
    Some((fault, what, fate))
}

#[story]
async fn requests_that_fail_during_a_way_back_do_not_change_what_comes_of_it() {
    let story = Story::begin("way-back-faults").await;
    let mut proxy = Proxy::before_api_server(story.bed());
    let scene = Scene::of(story).start_with(|options| options.through(&proxy));
    let names = FAULTS.map(|fault| format!("app-{fault}"));
    for name in &names {
        scene.install(name, &config_map(name, "one"), judged()).await;
        scene.upgrade(name, "2", &open(name));
    }
    for name in &names {
        waits(&scene, name).await;
    }
    // From now on, a request of each kind fails once for each release, beginning with the verdict.
    let failed: Arc<Mutex<BTreeSet<(&str, &str)>>> = Arc::default();
    let known = failed.clone();
    proxy.rule(move |seen| match fault(seen) {
        Some((fault, what, fate)) if known.lock().expect("lock").insert((fault, what)) => fate,
        _ => Fate::Pass,
    });
    let mark = scene.mark();
    for name in &names {
        fail(&scene, name);
    }
    // In the middle, all connections are cut, and all watches with them.
    let begun =
        async || failed.lock().expect("lock").iter().any(|(_, what)| *what == "dry run").then_some(());
    scene.story.wait_for("a way back has begun", begun).await;
    proxy.cut();
    for name in &names {
        // Nobody waits for the next retry.
        let asks = async || {
            let ready = scene.condition(name, "Ready").await.filter(|ready| ready.reason == "RolledBack");
            if ready.is_none() {
                let asks = failed.lock().expect("lock").len();
                scene.ask(name, &format!("{asks}"));
            }
            ready
        };
        let ready = scene.story.wait_for("it is rolled back", asks).await;
        assert!(ready.message.starts_with("Rolled back to 1@sha256:"), "{ready:?}");
        is_back(&scene, name).await;
    }
    let failed = failed.lock().expect("lock").clone();
    for fault in FAULTS {
        for what in ["status", "inventory", "dry run", "object", "deletion"] {
            assert!(failed.contains(&(fault, what)), "{fault}: no {what} has failed: {failed:?}");
        }
    }
    let rolled = scene.operator.metric("supercargo_rollbacks_total{result=\"rolled_back\"}");
    assert_eq!(rolled, Some(4.0));
    // After the way back, the revision that has failed is written no more.
    let writes = scene.object_writes(mark);
    for name in &names {
        let of_new: Vec<&String> =
            writes.iter().filter(|write| write.ends_with(&format!("/{name}-new"))).collect();
        let deleted = of_new.iter().filter(|write| write.starts_with("delete ")).count();
        assert!(deleted == 1 && of_new.last().is_some_and(|last| last.starts_with("delete ")), "{writes:?}");
    }
}

#[story]
async fn an_earlier_revision_that_is_not_trusted_any_more_does_not_come_back() {
    let scene = Scene::builder("way-back-trust").await.own_registry(Registry::plain()).start();
    let (old, new) = (Signer::new(Algorithm::P256), Signer::new(Algorithm::P256));
    let keys = |keys: Value| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys,
            "data": null});
        scene.story.kubectl(&["delete", "secret", "keys", "--ignore-not-found"], "");
        scene.story.apply(&secret.to_string());
    };
    let sign = |signer: &Signer, digest: &str| {
        let reference = format!("{}/app@{digest}", scene.registry().host());
        signer.sign(scene.registry(), &reference, Format::Bundle, &[]);
    };
    keys(json!({"old.pub": old.public_pem(), "new.pub": new.public_pem()}));
    let mut spec = judged();
    spec["verify"] = json!({"provider": "cosign", "secretRef": {"name": "keys"}});
    let first = scene.push("app", "1", &config_map("app", "one"));
    sign(&old, &first);
    scene.create("app", spec);
    scene.story.wait_ready("app", "1@").await;
    let second = scene.push("app", "2", &open("app"));
    sign(&new, &second);
    scene.change("app", json!({"ref": {"tag": "2"}}));
    waits(&scene, "app").await;

    // The old key is withdrawn while the new revision is judged.
    scene.patch("v1", "secrets", "keys", json!({"data": {"old.pub": null}}));
    let mark = scene.mark();
    fail(&scene, "app");
    let frozen = scene.story.wait_condition("app", "Ready", "False", "Frozen").await;
    let said = message(&frozen, "Ready");
    for part in [
        format!("revision 2@{} has failed (HealthCheckFailed: unhealthy; ConfigMap/", &second[..19]),
        format!("going back to 1@{} is refused (SignerUntrusted: ", &first[..19]),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    assert_eq!(message(&frozen, "Stalled"), said);
    assert_eq!(quarantined(&frozen), [format!("2@{second}")]);
    assert_eq!(text(&frozen, "/status/lastHealthyRevision"), format!("1@{first}"));
    // Nothing of the old revision is written, now or later, and nothing is deleted.
    scene.reconcile("app", "again").await;
    scene.edit("app", "by hand");
    scene.reconcile("app", "drifted").await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    assert_eq!(scene.data("app").await.as_deref(), Some("by hand"));
    assert!(scene.config_map("app-new").await.is_some());

    // A good revision of the new key is followed.
    let third = scene.push("app", "3", &config_map("app", "three"));
    sign(&new, &third);
    scene.change("app", json!({"ref": {"tag": "3"}}));
    let ready = scene.story.wait_ready("app", "3@").await;
    assert_eq!(quarantined(&ready), Vec::<String>::new());
    assert_eq!(scene.data("app").await.as_deref(), Some("three"));
}

#[story]
async fn an_earlier_revision_that_is_neither_in_the_registry_nor_in_the_cache_is_waited_for() {
    let mut scene = Scene::builder("way-back-gone").await.own_registry(Registry::plain()).start();
    let first = scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", judged());
    scene.story.wait_ready("app", "1@").await;
    let second = scene.push("app", "2", &open("app"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    waits(&scene, "app").await;
    // Another process, with an empty cache, and an earlier revision that somebody has deleted.
    let reference = format!("{}/app@{first}", scene.registry().host());
    scene.registry().crane(&["delete", "--insecure", &reference]);
    scene.replace_operator(async |_| {}).await;
    fail(&scene, "app");
    let gone = scene.story.wait_condition("app", "Ready", "False", "ArtifactNotFound").await;
    let said = message(&gone, "Ready");
    assert!(
        said.starts_with(&format!("Going back from 2@{} to 1@{}: ", &second[..19], &first[..19])),
        "{said}"
    );
    assert_eq!(quarantined(&gone), [format!("2@{second}")]);
    assert_eq!(gone["status"]["quarantine"][0].get("frozen"), None, "it is retried: {gone:#}");
    let mark = scene.mark();
    // The registry itself is away.
    scene.registry().stop();
    scene.ask("app", "away");
    let away = scene.story.wait_condition("app", "Ready", "False", "RegistryUnavailable").await;
    assert!(message(&away, "Ready").starts_with("Going back from 2@"), "{away:#}");
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    // Both are there again.
    scene.registry().resume();
    assert_eq!(scene.push("app", "1", &config_map("app", "one")), first);
    is_back(&scene, "app").await;
}
