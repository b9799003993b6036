//! Ranges that would go back, and tags that move.

use serde_json::{Value, json};
use supercargo::domain::digest::shortened;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, story};

use super::scene::{Scene, config_map, message, text};

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

#[story]
async fn the_digest_with_a_tag_is_applied_whatever_the_tag_names() {
    let mut scene = Scene::begin("pinned-tag").await;
    let path = format!("{}/app", scene.namespace());
    let wanted = scene.push("app", "1.0.0", &config_map("wanted", "one"));
    let pinned = |digest: &str| json!({"ref": {"tag": format!("1.0.0@{digest}")}});
    scene.create("app", pinned(&wanted));
    let release = scene.story.wait_ready("app", &format!("1.0.0@{wanted}")).await;
    let is_told = |release: &Value| message(release, "Ready").contains("spec.ref.tag");
    assert!(!is_told(&release) && text(&release, "/status/lastAppliedRevision") == format!("1.0.0@{wanted}"));

    // Somebody moves the tag.
    let other = scene.push("app", "1.0.0", &config_map("other", "one"));
    let asked = scene.registry().mark();
    let release = scene.reconcile("app", "moved").await;
    let says =
        shortened(&format!("tag 1.0.0 names {other}, and the release applies the digest in spec.ref.tag"));
    let ready = condition(&release, "Ready").expect("ready");
    assert!(ready.status == "True" && ready.message.contains(&says), "{ready:?}");
    scene.wait_event("app", "TagMismatch", &[&says]).await;
    let asked: Vec<String> =
        scene.registry().of_repository(asked, &path).iter().map(|a| a.method.clone()).collect();
    assert_eq!(asked, ["HEAD"]);
    let told = async || scene.events("app").await.iter().filter(|(r, _)| r == "TagMismatch").count();
    // Drift is corrected to what was asked for; nothing is told twice, also not by another process.
    scene.edit("wanted", "by hand");
    scene.wait_event("app", "DriftCorrected", &[]).await;
    scene.wait_data("wanted", "one").await;
    assert!(scene.config_map("other").await.is_none());
    assert!(is_told(&scene.reconcile("app", "again").await));
    assert_eq!(told().await, 1);
    scene.restart();
    assert!(is_told(&scene.reconcile("app", "restarted").await));
    assert_eq!(scene.events("app").await.iter().filter(|(r, _)| r == "TagMismatch").count(), 1);

    // The first install of another release takes the digest, too.
    let wanted_late = scene.push("late", "1", &config_map("late", "wanted"));
    let moved_late = scene.push("late", "1", &config_map("late", "moved"));
    scene.create("late", json!({"ref": {"tag": format!("1@{wanted_late}")}}));
    let says_late = format!("tag 1 names {moved_late}, and the release applies");
    scene.wait_message("late", "True", &shortened(&says_late)).await;
    assert_eq!(scene.data("late").await.as_deref(), Some("wanted"));

    remove(&scene, &path, "1.0.0");
    let release = scene.reconcile("app", "gone").await;
    let ready = condition(&release, "Ready").expect("ready");
    let says = "tag 1.0.0 was not found, and the release applies the digest in spec.ref.tag";
    assert!(ready.status == "True" && ready.message.contains(says), "{ready:?}");

    // Another digest is a new revision; the note ends when the tag names it.
    scene.change("app", pinned(&other));
    let release = scene.wait_message("app", "True", &shortened(&format!("revision 1.0.0@{other}"))).await;
    assert!(message(&release, "Ready").contains(says));
    assert!(scene.config_map("other").await.is_some() && scene.config_map("wanted").await.is_none());
    assert_eq!(scene.push("app", "1.0.0", &config_map("other", "one")), other);
    assert!(!is_told(&scene.reconcile("app", "back").await));
}

/// Takes a tag away.
pub fn remove(scene: &Scene<'_>, repository: &str, tag: &str) {
    scene.registry().crane(&[
        "delete",
        "--insecure",
        &format!("{}/{repository}:{tag}", scene.registry().host()),
    ]);
}
