//! What has begun is finished, also when the process ends or the spec changes, before a newer revision
//! that has to wait.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use super::plan::{self, approved};
use super::rollback::{outcomes, quarantined};
use crate::scene::{Scene, config_map, message, text};

const PROFILES: Profiles = Profiles::First("what is finished first does not depend on rights");

/// A release whose ConfigMaps say themselves whether they are healthy.
pub fn told() -> Value {
    let rule = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "current": "data.key == 'one' && !has(data.hold) || has(data.healthy)",
        "failed": "data.key != 'one' && has(data.broken)",
    });
    json!({"wait": true, "timeout": "10m", "interval": "1h", "healthCheckExprs": [rule]})
}

/// A window that is closed.
pub fn closed() -> Value {
    json!({"schedule": [{"cron": "* * * * *", "duration": "1h", "deny": true}]})
}

/// Sets what one of its ConfigMaps says of itself.
pub fn say(scene: &Scene<'_>, what: &str, value: &Value) {
    scene.patch("v1", "configmaps", "a", json!({"data": {what: value}}));
}

/// Begins the rollout of a second revision, closes the window, and publishes a third. Returns the
/// digests of the two.
async fn begin(scene: &Scene<'_>, spec: Value) -> (String, String) {
    let mut all = told();
    all.as_object_mut().expect("a spec").extend(spec.as_object().cloned().expect("a spec"));
    scene.install("app", &config_map("a", "one"), all).await;
    let second = scene.push("app", "2", &(config_map("a", "two") + &config_map("b", "two")));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_data("a", "two").await;
    scene.wait_message("app", "Unknown", &format!("(revision 2@{}", &second[..19])).await;
    scene.change("app", closed());
    (second, scene.push("app", "2", &config_map("a", "three")))
}

/// Waits until the third revision waits for its window.
async fn waits(scene: &Scene<'_>, third: &str) -> Value {
    let waiting = scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    assert_eq!(text(&waiting, "/status/pending/digest"), third);
    waiting
}

#[story]
async fn a_rollout_goes_on_after_a_restart_and_a_new_spec_while_a_newer_revision_waits() {
    let mut scene = Scene::begin("begun").await;
    let (second, third) = begin(&scene, json!({})).await;
    let held = async |scene: &Scene<'_>| {
        let is_held = async || {
            let release = scene.story.release("app").await?;
            let waits = message(&release, "Reconciling").contains(&format!("(revision 2@{}", &second[..19]));
            (waits && scene.data("a").await.as_deref() == Some("two")).then_some(())
        };
        scene.story.wait_for("the second revision is waited for", is_held).await;
    };
    // A request for a run finds the third.
    scene.ask("app", "found");
    held(&scene).await;
    let named = async || {
        let release = scene.story.release("app").await?;
        (release["status"]["heldRevision"] == format!("2@{third}")).then_some(())
    };
    scene.story.wait_for("the status names what comes after it", named).await;
    scene.change("app", json!({"interval": "50m"}));
    held(&scene).await;
    scene.restart();
    held(&scene).await;
    say(&scene, "healthy", &json!("yes"));
    say_of_b(&scene);
    let waiting = waits(&scene, &third).await;
    let status = &waiting["status"];
    for field in ["lastHealthyRevision", "lastAppliedRevision"] {
        assert_eq!(status[field], format!("2@{second}"), "{field}");
    }
    assert_eq!(outcomes(&waiting), ["Healthy", "Healthy"]);
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
}

fn say_of_b(scene: &Scene<'_>) {
    scene.patch("v1", "configmaps", "b", json!({"data": {"healthy": "yes"}}));
}

#[story]
async fn a_rollout_that_fails_after_a_restart_is_gone_back_from_while_a_newer_revision_waits() {
    let mut scene = Scene::begin("begun-bad").await;
    let (second, third) = begin(&scene, json!({"rollback": {"mode": "OnFailure"}})).await;
    scene.restart();
    say(&scene, "hold", &json!("yes"));
    say(&scene, "broken", &json!("yes"));
    // The way back waits, and goes on in another process, too.
    scene.wait_data("a", "one").await;
    scene.restart();
    let going = async || {
        let release = scene.story.release("app").await?;
        message(&release, "Reconciling").contains("(revision 1@").then_some(release)
    };
    let release = scene.story.wait_for("the way back is waited for", going).await;
    assert_eq!(quarantined(&release), [format!("2@{second}")]);
    say(&scene, "hold", &Value::Null);
    let waiting = waits(&scene, &third).await;
    assert_eq!(outcomes(&waiting), ["Healthy", "Failed", "Healthy"]);
    assert!(text(&waiting, "/status/lastHealthyRevision").starts_with("1@"));
    scene.wait_event("app", "RolledBack", &["Rolled back to 1@sha256:"]).await;
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    assert_eq!(scene.named("app").await, ["a"]);
}

#[story]
async fn a_way_back_is_finished_when_its_process_ends_and_a_newer_revision_waits() {
    let mut scene = Scene::begin("begun-back").await;
    let mut spec = told();
    spec["rollback"] = json!({"mode": "OnFailure"});
    scene.install("app", &config_map("a", "one"), spec).await;
    scene.upgrade("app", "2", &config_map("a", "two"));
    scene.wait_data("a", "two").await;
    say(&scene, "hold", &json!("yes"));
    say(&scene, "broken", &json!("yes"));
    scene.wait_data("a", "one").await;
    scene.change("app", closed());
    let third = scene.push("app", "2", &config_map("a", "three"));
    for again in ["found", "found again"] {
        scene.restart();
        scene.ask("app", again);
        let going = async || {
            let release = scene.story.release("app").await?;
            message(&release, "Reconciling").contains("(revision 1@").then_some(())
        };
        scene.story.wait_for("the way back is waited for", going).await;
    }
    say(&scene, "hold", &Value::Null);
    let waiting = waits(&scene, &third).await;
    assert_eq!(outcomes(&waiting), ["Healthy", "Failed", "Healthy"]);
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
}

/// Approves a second revision, and waits until it is written. Returns its digest, and the hash of its
/// plan.
async fn begin_approved(scene: &Scene<'_>) -> (String, String) {
    let mut spec = told();
    spec["approval"] = json!("Manual");
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", spec);
    approved(scene, "app", "1@").await;
    let second = scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    let waiting = plan::waits(scene, "app", &format!("2@{second}"), "").await;
    let hash = text(&waiting, "/status/plan/hash");
    scene.annotate("app", "supercargo.dev/approve", &hash);
    scene.wait_data("a", "two").await;
    (second, hash)
}

#[story]
async fn an_approved_rollout_is_finished_before_a_newer_plan_is_asked_for() {
    let mut scene = Scene::begin("begun-approved").await;
    let (second, hash) = begin_approved(&scene).await;
    scene.push("app", "2", &config_map("a", "three"));
    scene.restart();
    scene.ask("app", "found");
    scene.wait_message("app", "Unknown", &format!("(revision 2@{}", &second[..19])).await;
    say(&scene, "healthy", &json!("yes"));
    let waiting = scene.story.wait_condition("app", "Ready", "False", "ApprovalRequired").await;
    assert_eq!(waiting["status"]["lastHealthyRevision"], format!("2@{second}"));
    assert_ne!(text(&waiting, "/status/plan/hash"), hash);
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
}

#[story]
async fn the_health_of_what_is_applied_is_followed_after_a_restart_while_a_newer_revision_waits() {
    let mut scene = Scene::begin("begun-health").await;
    scene.install("app", &config_map("a", "one"), told()).await;
    scene.change("app", closed());
    scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    scene.restart();
    scene.reconcile("app", "restarted").await;
    say(&scene, "hold", &json!("yes"));
    scene.wait_reason("app", "Healthy", "False", "Unhealthy").await;
    say(&scene, "hold", &Value::Null);
    let release = scene.story.wait_condition("app", "Healthy", "True", "Healthy").await;
    assert!(message(&release, "Ready").contains("waits for a window"), "{release}");
}

#[story]
async fn a_newer_revision_does_not_wait_for_a_rollout_that_cannot_be_finished() {
    let mut scene = Scene::begin("begun-lost").await;
    let (second, _) = begin_approved(&scene).await;
    // What is begun is not in the registry any more, and another process has no copy of it.
    let image = format!("{}/{}@{second}", scene.registry().host(), scene.repository("app"));
    let third = scene.push("app", "2", &config_map("a", "three"));
    scene.registry().crane(&["delete", &image]);
    scene.replace_operator(async |_| {}).await;
    plan::waits(&scene, "app", &format!("2@{third}"), "").await;
}
