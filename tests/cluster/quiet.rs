//! What an interval costs in which nothing changed, and what ends the quiet.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::registry::{Access, Mark};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::{Profiles, Registry, Signer, story};

use super::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::Both;

fn shown(requests: &[Access]) -> Vec<String> {
    requests.iter().map(|access| format!("{} {}", access.method, access.path)).collect()
}

/// Waits until a repository was asked `count` times since the mark.
pub async fn wait_asked(scene: &Scene<'_>, repository: &str, mark: Mark, count: usize) {
    let what = format!("{repository} is asked {count} times");
    let asked = async || (scene.registry().of_repository(mark, repository).len() >= count).then_some(());
    scene.story.wait_for(&what, asked).await;
}

/// The requests of the operator since then, without watches and leases.
pub fn api_requests(scene: &Scene<'_>, mark: supercargo_testbed::audit::Mark) -> Vec<String> {
    let user = scene.story.operator_account().user();
    let all = scene.story.bed().audit().since(mark, &user);
    all.iter().filter(|r| r.resource != "leases" && r.verb != "watch").map(|r| r.summary()).collect()
}

#[story]
async fn promise_5_a_quiet_interval_costs_one_head_and_no_api_request() {
    let scene = Scene::builder("quiet").await.own_registry(Registry::plain()).slow_retries().start();
    let push = |repository: &str, tag: &str, value: &str| {
        scene.registry().push_yaml(repository, tag, &config_map(repository, value))
    };
    for repository in ["tagged", "pinned", "suspended"] {
        push(repository, "1", "1");
    }
    push("ranged", "1.0.0", "1");
    let pinned = push("pinned", "2", "2");
    // Signed, and verified: that costs nothing as long as nothing changes either.
    let signer = Signer::new(Algorithm::P256);
    let signed = format!("{}/signed@{}", scene.registry().host(), push("signed", "1", "1"));
    signer.sign(scene.registry(), &signed, Format::Bundle, &[]);
    let keys = format!("--from-file={}", signer.public().display());
    scene.story.kubectl(&["create", "secret", "generic", "keys", &keys], "");
    let verify = json!({"provider": "cosign", "secretRef": {"name": "keys"}});
    scene.create("signed", json!({"interval": "10s", "verify": verify}));
    scene.create("tagged", json!({"interval": "10s", "wait": true}));
    scene.create("ranged", json!({"interval": "10s", "ref": {"semver": "1.x"}}));
    scene.create("pinned", json!({"interval": "10s", "ref": {"digest": pinned}}));
    scene.create("suspended", json!({"interval": "10s"}));
    let installed =
        [("tagged", "1@"), ("signed", "1@"), ("ranged", "1.0.0@"), ("pinned", &pinned), ("suspended", "1@")];
    for (name, revision) in installed {
        scene.story.wait_ready(name, revision).await;
    }
    let before = scene.registry().mark();
    scene.change("suspended", json!({"suspend": true}));
    // From the answer to a HEAD to that of the next is one interval. The events of
    // the installs are written beside the runs; the first HEAD comes long after.
    wait_asked(&scene, "tagged", before, 1).await;
    wait_asked(&scene, "ranged", before, 2).await;
    wait_asked(&scene, "signed", before, 1).await;
    let (mark, audit, start) = (scene.registry().mark(), scene.story.bed().audit().mark(), Instant::now());
    wait_asked(&scene, "tagged", mark, 1).await;
    let first = start.elapsed();
    wait_asked(&scene, "tagged", mark, 2).await;
    let between = start.elapsed() - first;
    assert!(between > Duration::from_secs(9), "the interval is 10 s ± 5 %, and it was {between:?}");
    assert_eq!(api_requests(&scene, audit), Vec::<String>::new());
    let head = "HEAD /v2/tagged/manifests/1";
    assert_eq!(shown(&scene.registry().of_repository(mark, "tagged")), [head, head]);
    let signed = shown(&scene.registry().of_repository(mark, "signed"));
    let head = "HEAD /v2/signed/manifests/1";
    assert!((1..=3).contains(&signed.len()) && signed.iter().all(|request| request == head), "{signed:?}");
    let ranged = shown(&scene.registry().of_repository(mark, "ranged"));
    let pair = ["GET /v2/ranged/tags/list?n=1000", "HEAD /v2/ranged/manifests/1.0.0"];
    assert!(!ranged.is_empty() && ranged.len() <= 6, "{ranged:?}");
    for (at, request) in ranged.iter().enumerate() {
        assert_eq!(request, pair[at % 2], "{ranged:?}");
    }
    for silent in ["pinned", "suspended"] {
        assert_eq!(shown(&scene.registry().of_repository(mark, silent)), Vec::<String>::new());
    }

    // The quiet ends by itself when there is something new.
    push("tagged", "1", "moved");
    push("ranged", "1.1.0", "newer");
    push("ranged", "2.0.0", "out of range");
    push("suspended", "1", "moved");
    scene.wait_data("tagged", "moved").await;
    scene.wait_data("ranged", "newer").await;
    scene.story.wait_ready("ranged", "1.1.0@").await;
    assert_eq!(scene.data("pinned").await.as_deref(), Some("2"));
    assert_eq!(scene.data("suspended").await.as_deref(), Some("1"));
    assert_eq!(
        shown(
            &scene
                .registry()
                .of_repository(mark, "suspended")
                .iter()
                .filter(|a| a.method == "GET")
                .cloned()
                .collect::<Vec<_>>()
        ),
        Vec::<String>::new()
    );
}

#[story]
async fn a_bumped_tag_a_new_range_and_a_request_take_effect_at_once() {
    let scene = Scene::builder("quiet-ends").await.own_registry(Registry::plain()).slow_retries().start();
    let push = |tag: &str, value: &str| scene.push("app", tag, &config_map("app", value));
    let first = push("1.0.0", "one");
    push("1.1.0", "two");
    push("2.0.0", "three");
    // The interval is an hour: nothing here waits for it.
    scene.create("app", json!({"interval": "1h", "ref": {"tag": "1.0.0"}}));
    let set = async |reference: Value, revision: &str, value: &str| {
        scene.change("app", json!({"ref": reference}));
        scene.story.wait_ready("app", revision).await;
        assert_eq!(scene.data("app").await.as_deref(), Some(value));
    };
    scene.story.wait_ready("app", "1.0.0@").await;
    set(json!({"tag": "1.1.0"}), "1.1.0@", "two").await;
    // Digest wins over semver wins over tag.
    set(json!({"semver": ">=1.0.0"}), "2.0.0@", "three").await;
    set(json!({"semver": ">=1.0.0", "semverFilter": "^1[.]"}), "1.1.0@", "two").await;
    set(json!({"digest": first}), &first, "one").await;
    set(json!({"digest": null, "semver": null, "semverFilter": null}), "1.1.0@", "two").await;

    push("1.1.0", "moved");
    scene.ask("app", "first");
    scene.wait_data("app", "moved").await;
    scene.wait_handled("app", "first").await;
}

#[story]
async fn suspended_it_does_nothing_but_once_on_request() {
    let scene =
        Scene::builder("quiet-suspended").await.own_registry(Registry::plain()).slow_retries().start();
    let push = |value: &str| scene.push("app", "1", &config_map("app", value));
    push("one");
    // Suspended from the beginning.
    scene.create("app", json!({"interval": "10s", "suspend": true}));
    let release = scene.story.wait_condition("app", "Ready", "Unknown", "Suspended").await;
    assert_eq!(release["status"]["lastAppliedRevision"], Value::Null);
    assert_eq!(scene.data("app").await, None);
    scene.ask("app", "first");
    scene.wait_data("app", "one").await;
    scene.story.wait_ready("app", "1@").await;
    // Neither a new revision nor drift nor a change of the spec leads to anything, until it is asked for.
    push("two");
    let mark = scene.registry().mark();
    scene.edit("app", "by hand");
    scene.change("app", json!({"interval": "11s"}));
    scene.wait_observed("app").await;
    assert_eq!(shown(&scene.registry().of_repository(mark, "app")), Vec::<String>::new());
    assert_eq!(scene.data("app").await.as_deref(), Some("by hand"));
    scene.ask("app", "second");
    scene.wait_data("app", "two").await;
    push("three");
    scene.change("app", json!({"suspend": false}));
    scene.wait_data("app", "three").await;
}
