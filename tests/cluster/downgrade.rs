//! Ranges that would go back, and tags that move.

use serde_json::json;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, story};

use super::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("which tag is followed does not depend on rights");

#[story]
async fn a_range_goes_back_only_where_it_may_and_a_tag_that_moves_is_told() {
    let scene = Scene::begin("downgrade").await;
    let push = |tag: &str, name: &str| scene.push("app", tag, &config_map(name, "one"));
    push("1.1.0", "old");
    push("1.2.0", "new");
    push("2.0.0", "next");
    scene.create("app", json!({"ref": {"semver": "1.x"}}));
    scene.story.wait_ready("app", "1.2.0@").await;

    // The newest tag is taken away.
    let path = format!("{}/app", scene.namespace());
    remove(&scene, &path, "1.2.0");
    scene.reconcile("app", "first").await;
    let says = "downgrade from 1.2.0 to 1.1.0 refused";
    let release = scene.reconcile("app", "second").await;
    let ready = condition(&release, "Ready").expect("ready");
    assert!(ready.status == "True" && ready.message.contains(says), "{ready:?}");
    scene.wait_event("app", "DowngradeRefused", &[says]).await;
    scene.story.wait_ready("app", "1.2.0@").await;
    assert!(scene.config_map("new").await.is_some() && scene.config_map("old").await.is_none());
    // Drift is still corrected, and nothing is told twice.
    scene.edit("new", "by hand");
    scene.wait_event("app", "DriftCorrected", &[]).await;
    scene.reconcile("app", "third").await;
    let told = async |reason: &str| scene.events("app").await.iter().filter(|(r, _)| r == reason).count();
    assert_eq!(told("DowngradeRefused").await, 1);

    scene.change("app", json!({"ref": {"semver": "1.x", "allowDowngrade": true}}));
    scene.story.wait_ready("app", "1.1.0@").await;
    scene.wait_event("app", "Downgraded", &["Downgraded from 1.2.0 to 1.1.0"]).await;
    assert!(scene.config_map("old").await.is_some());
    // A range that excludes what there is asks for it.
    scene.change("app", json!({"ref": {"semver": ">=2", "allowDowngrade": false}}));
    scene.story.wait_ready("app", "2.0.0@").await;
    scene.change("app", json!({"ref": {"semver": "1.x"}}));
    scene.story.wait_ready("app", "1.1.0@").await;
    assert_eq!((told("DowngradeRefused").await, told("Downgraded").await), (1, 1));

    push("1.1.0", "moved");
    scene.reconcile("app", "moved").await;
    scene.story.wait_ready("app", "1.1.0@").await;
    scene.wait_event("app", "TagMoved", &["Tag 1.1.0 moved from sha256:", " to sha256:"]).await;
    scene.reconcile("app", "again").await;
    assert_eq!(told("TagMoved").await, 1);
}

/// Takes a tag away.
pub fn remove(scene: &Scene<'_>, repository: &str, tag: &str) {
    scene.registry().crane(&[
        "delete",
        "--insecure",
        &format!("{}/{repository}:{tag}", scene.registry().host()),
    ]);
}
