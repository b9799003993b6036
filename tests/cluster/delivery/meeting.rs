//! Where rules of delivery meet: each holds beside the others.

use serde_json::json;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profile, Profiles, Registry, Story, story};

use super::begun::{closed, say, told};
use super::plan::waits;
use super::rollback::{judged, outcomes, quarantined};
use crate::downgrade::remove;
use crate::scene::{Scene, config_map, message, text};

const PROFILES: Profiles = Profiles::First("how rules meet does not depend on rights");

#[story]
async fn a_frozen_release_stays_so_while_the_registry_is_away() {
    let scene = Scene::builder("meeting-frozen").await.own_registry(Registry::plain()).start();
    scene.install("app", &config_map("a", "one"), judged()).await;
    scene.patch("v1", "configmaps", "a", json!({"data": {"broken": "yes"}}));
    scene.upgrade("app", "2", &config_map("a", "two"));
    let frozen = scene.story.wait_condition("app", "Ready", "False", "Frozen").await;
    let failed = quarantined(&frozen);
    // What it went back to is written, and would be healthy now.
    scene.patch("v1", "configmaps", "a", json!({"data": {"broken": null}}));
    let mark = scene.mark();
    scene.registry().stop();
    scene.ask("app", "away");
    scene.wait_says("app", "FetchFailed", &["is unavailable"]).await;
    let same = scene.story.wait_condition("app", "Ready", "False", "Frozen").await;
    assert_eq!(quarantined(&same), failed);
    scene.registry().resume();
    let back = scene.reconcile("app", "back").await;
    assert_eq!(condition(&back, "Ready").expect("it is judged").reason, "Frozen");
    assert_eq!(
        (quarantined(&back), &back["status"]["heldRevision"]),
        (failed, &frozen["status"]["heldRevision"])
    );
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
}

#[story]
async fn what_a_downgrade_keeps_waits_with_new_inputs_like_any_other() {
    let scene = Scene::begin("meeting-downgrade").await;
    scene.push("app", "1.0.0", &config_map("a", "one"));
    scene.push("app", "1.1.0", &config_map("a", "two"));
    scene.create("app", json!({"ref": {"tag": null, "semver": ">=1.0.0"}}));
    scene.story.wait_ready("app", "1.1.0@").await;
    remove(&scene, &scene.repository("app"), "1.1.0");
    scene.ask("app", "gone");
    scene.wait_message("app", "True", "downgrade from 1.1.0 to 1.0.0 refused").await;
    let patch =
        json!([{"patch": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: three}\n"}]);
    let mut spec = closed();
    spec["patches"] = patch;
    scene.change("app", spec);
    scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
}

/// What still terminates is no reason to look again and again.
#[story]
async fn a_newer_revision_is_looked_at_while_objects_of_an_earlier_one_terminate() {
    let scene = Scene::begin("meeting-terminating").await;
    let held =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old, finalizers: [example.com/hold]}\n---\n";
    scene.install("app", &(held.to_owned() + &config_map("a", "one")), json!({"interval": "1h"})).await;
    scene.upgrade("app", "2", &config_map("a", "two"));
    scene.wait_message("app", "True", "/old").await;
    scene.change("app", json!({"minimumAge": "1h"}));
    scene.story.wait_ready("app", "2@").await;
    let third = scene.push("app", "2", &config_map("a", "three"));
    let (mark, repository) = (scene.registry().mark(), scene.repository("app"));
    scene.ask("app", "found");
    let waiting = scene.story.wait_condition("app", "Ready", "False", "RevisionTooYoung").await;
    assert_eq!(text(&waiting, "/status/pending/digest"), third);
    let asked = scene.registry().of_repository(mark, &repository).len();
    assert!(asked <= 8, "{asked} requests");
    scene.patch("v1", "configmaps", "old", json!({"metadata": {"finalizers": null}}));
    scene.story.wait_gone("v1", "configmaps", "old").await;
}

#[story]
async fn an_invalid_spec_forgets_neither_a_failed_revision_nor_an_approved_plan() {
    let scene = Scene::begin("meeting-invalid").await;
    scene.install("app", &config_map("a", "one"), judged()).await;
    scene.upgrade("app", "2", &config_map("a", "bad"));
    let rolled = scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    let invalid = json!({"schedule": [{"cron": "99 9 * * *", "duration": "8h"}]});
    scene.change("app", invalid);
    let refused = scene.story.wait_condition("app", "Stalled", "True", "InvalidSpec").await;
    assert_eq!(refused["status"]["heldRevision"], rolled["status"]["heldRevision"]);
    scene.change("app", json!({"schedule": null}));
    let again = scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    assert_eq!(quarantined(&again), quarantined(&rolled));

    let mut spec = told();
    spec["approval"] = json!("Manual");
    scene.push("manual", "1", &config_map("b", "one"));
    scene.create("manual", spec);
    let first = waits(&scene, "manual", "1@", "").await;
    scene.annotate("manual", "supercargo.dev/approve", &text(&first, "/status/plan/hash"));
    scene.story.wait_ready("manual", "1@").await;
    scene.upgrade("manual", "2", &config_map("b", "two"));
    let second = waits(&scene, "manual", "2@", "").await;
    scene.annotate("manual", "supercargo.dev/approve", &text(&second, "/status/plan/hash"));
    scene.wait_data("b", "two").await;
    scene.change("manual", json!({"schedule": [{"cron": "99 9 * * *", "duration": "8h"}]}));
    let refused = scene.story.wait_condition("manual", "Stalled", "True", "InvalidSpec").await;
    assert_eq!(refused["status"]["plan"]["hash"], second["status"]["plan"]["hash"]);
    scene.change("manual", json!({"schedule": null}));
    scene.patch("v1", "configmaps", "b", json!({"data": {"healthy": "yes"}}));
    scene.story.wait_ready("manual", "2@").await;
}

#[story]
async fn a_removal_that_a_plan_has_shown_is_finished_after_a_restart() {
    let mut scene = Scene::begin("meeting-removal").await;
    let mut spec = told();
    spec["approval"] = json!("Manual");
    spec["pruneGuard"] = json!({"maxCount": 0});
    scene.push("app", "1", &(config_map("a", "one") + &config_map("b", "one")));
    scene.create("app", spec);
    let first = waits(&scene, "app", "1@", "").await;
    scene.annotate("app", "supercargo.dev/approve", &text(&first, "/status/plan/hash"));
    scene.story.wait_ready("app", "1@").await;
    scene.upgrade("app", "2", &config_map("a", "two"));
    let second = waits(&scene, "app", "2@", "").await;
    scene.annotate("app", "supercargo.dev/approve", &text(&second, "/status/plan/hash"));
    scene.wait_data("a", "two").await;
    scene.edit("a", "drifted");
    scene.wait_data("a", "two").await;
    scene.restart();
    say(&scene, "healthy", &json!("yes"));
    scene.story.wait_ready("app", "2@").await;
    scene.story.wait_gone("v1", "configmaps", "b").await;

    // Another removal is not covered by it.
    scene.upgrade("app", "3", &(config_map("a", "one") + &config_map("c", "one")));
    let third = waits(&scene, "app", "3@", "").await;
    scene.annotate("app", "supercargo.dev/approve", &text(&third, "/status/plan/hash"));
    scene.wait_named("app", &["a", "c"]).await;
    scene.change("app", json!({"approval": "Automatic", "ref": {"tag": "2"}}));
    scene.story.wait_condition("app", "Stalled", "True", "PruneNotApproved").await;
    assert_eq!(scene.data("c").await.as_deref(), Some("one"));
}

#[story]
async fn a_way_back_leaves_a_namespace_that_holds_what_is_of_others() {
    let scene = Scene::of(Story::begin("meeting-space").await).profile(Profile::ClusterAdmin).start();
    let other = scene.story.reserve_namespace("meeting-space-team");
    let space = format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n---\n");
    let mut spec = told();
    spec["rollback"] = json!({"mode": "OnFailure"});
    scene.install("app", &config_map("a", "one"), spec).await;
    scene.upgrade("app", "2", &(config_map("a", "two") + &space));
    scene.wait_data("a", "two").await;
    scene.wait_message("app", "Unknown", "(revision 2@").await;
    let theirs = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\n";
    scene.story.kubectl(&["-n", &other, "apply", "-f", "-"], theirs);
    say(&scene, "broken", &json!("yes"));
    let frozen = scene.story.wait_condition("app", "Ready", "False", "Frozen").await;
    let says = format!(
        "going back would lose 1 object; Namespace/{other}: it would be deleted, and holds objects that are not of this \
         release: ConfigMap/{other}/theirs"
    );
    assert!(message(&frozen, "Ready").contains(&says), "{frozen}");
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
    scene.story.kubectl(&["-n", &other, "get", "configmap", "theirs"], "");
}

#[story]
async fn a_way_back_is_taken_although_the_spec_names_another_revision_that_waits() {
    let scene = Scene::begin("meeting-ref").await;
    let mut spec = told();
    spec["rollback"] = json!({"mode": "OnFailure"});
    scene.install("app", &config_map("a", "one"), spec).await;
    scene.upgrade("app", "2", &(config_map("a", "two") + &config_map("new", "two")));
    scene.wait_data("a", "two").await;
    scene.change("app", closed());
    let third = scene.push("app", "3", &config_map("a", "three"));
    scene.change("app", json!({"ref": {"tag": "3"}}));
    say(&scene, "broken", &json!("yes"));
    let waiting = scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    assert_eq!(text(&waiting, "/status/pending/digest"), third);
    assert_eq!(outcomes(&waiting), ["Healthy", "Failed", "Healthy"]);
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    assert_eq!(scene.named("app").await, ["a"]);
}

#[story]
async fn what_another_release_was_to_take_is_not_deleted_without_a_check() {
    let scene = Scene::begin("meeting-promised").await;
    let mut spec = told();
    spec["pruneGuard"] = json!({"maxCount": 0});
    scene.install("giver", &(config_map("a", "one") + &config_map("x", "one")), spec).await;
    scene.push("taker", "1", &config_map("x", "two"));
    scene.create("taker", json!({}));
    scene.wait_reason("taker", "Ready", "False", "OwnershipConflict").await;
    // It does not count as removed, as the other release takes it.
    scene.upgrade("giver", "2", &config_map("a", "two"));
    scene.wait_data("a", "two").await;
    // But that one goes away while the health of the rest is waited for.
    scene.story.kubectl(&["delete", "oar", "taker"], "");
    say(&scene, "healthy", &json!("yes"));
    let held = scene.story.wait_condition("giver", "Stalled", "True", "PruneNotApproved").await;
    assert!(message(&held, "Ready").contains("/x"), "{held}");
    assert_eq!(scene.data("x").await.as_deref(), Some("one"));
}
