//! The history of a release, and how a person goes back in it.

use serde_json::{Value, json};
use supercargo::domain::artifact::digest::shortened;
use supercargo_testbed::{Profiles, story};

use crate::delivery::rollback::{judged, outcomes, quarantined};
use crate::scene::{Scene, config_map, message, text};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

#[story]
async fn the_history_tells_what_became_of_each_revision() {
    let scene = Scene::begin("history").await;
    let mut spec = judged();
    spec["historyLimit"] = json!(2);
    let first = scene.install("app", &config_map("a", "one"), spec).await;
    for tag in ["2", "3", "4"] {
        scene.upgrade("app", tag, &config_map("a", &format!("bad-{tag}")));
        scene.wait_message("app", "False", &format!(": revision {tag}@sha256:")).await;
    }
    let release = scene.story.release("app").await.expect("the release");
    // However short it is, the way back is in it.
    assert_eq!(outcomes(&release), ["Healthy", "Failed"]);
    assert_eq!(quarantined(&release).len(), 3);
    let newest = &release["status"]["history"][0];
    assert_eq!(newest["revision"], first["status"]["lastAppliedRevision"]);
    assert_eq!(newest["source"], scene.url("app").trim_start_matches("oci://"));
    for field in ["startedAt", "endedAt", "appliedAt", "key"] {
        assert!(newest[field].is_string(), "{field}: {newest}");
    }
    let person = Shell::admin(&scene.story);
    let said = person.run(&["history", "release", "app"]).done();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["#", "REVISION", "OUTCOME", "AGE", "CHANGES", "REASON"]);
    assert_eq!(lines[1][..3], ["1", &shortened(&text(newest, "/revision")), "Healthy"]);
    assert_eq!(lines[2][2..4], ["Failed", "(quarantined)"]);
    assert_eq!(lines[2].last(), Some(&"HealthCheckFailed"));
    let data = person.run(&["history", "release", "app", "-o", "json"]).done();
    assert_eq!(serde_json::from_str::<Value>(&data).expect("JSON"), release["status"]["history"]);
    scene.push("none", "1", "");
    let absent = person.run(&["history", "release", "none"]);
    assert_eq!(absent.code, 1, "{absent:?}");
    assert!(absent.err.contains("release none not found in namespace"), "{absent:?}");
}

#[story]
async fn a_person_pins_an_earlier_revision_and_resumes_the_reference() {
    let mut scene = Scene::begin("history-pin").await;
    let first = scene.install("app", &config_map("a", "one"), judged()).await;
    let old = text(&first, "/status/lastAppliedRevision");
    scene.upgraded("app", "2", &config_map("a", "two")).await;
    let person = Shell::admin(&scene.story);
    let said = person.run(&["rollback", "release", "app", "--reason", "orders are lost"]).done();
    let pinned = format!("{}/app pinned to {}\n", scene.namespace(), shortened(&old));
    assert!(said.starts_with(&pinned), "{said}");
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    let release = scene.story.wait_ready("app", "1@").await;
    assert_eq!(text(&release, "/status/lastAppliedRevision"), old);
    let ready = message(&release, "Ready");
    assert!(ready.ends_with("; pinned, spec.ref is not followed: orders are lost"), "{ready}");
    assert!(person.run(&["status", "release", "app"]).done().contains(&format!("(pinned to {old})")));
    // Neither the same spec nor another process undoes it, and a newer revision does not either.
    scene.push("app", "2", &config_map("a", "newer"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.reconcile("app", "again").await;
    scene.restart();
    scene.reconcile("app", "restarted").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    // Drift is corrected.
    scene.edit("a", "edited");
    scene.wait_data("a", "one").await;

    let said = person.run(&["resume", "release", "app"]).done();
    assert!(said.contains(" resumed\n"), "{said}");
    let resumed = scene.story.wait_ready("app", "2@").await;
    assert!(!message(&resumed, "Ready").contains("pinned"));
    assert_eq!(scene.data("a").await.as_deref(), Some("newer"));
    assert_eq!(resumed["metadata"]["annotations"]["supercargo.dev/pin"], Value::Null);

    // To a revision by its name, and not to one that has failed.
    scene.upgrade("app", "3", &config_map("a", "bad"));
    scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    let refused = person.run(&["rollback", "release", "app", "--to", "3"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("is quarantined (HealthCheckFailed)"), "{refused:?}");
    person.run(&["rollback", "release", "app", "--to", "1"]).done();
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    // A pin that is none stalls the release, which can be deleted all the same.
    scene.annotate("app", "supercargo.dev/pin", "1");
    let invalid = scene.wait_reason("app", "Ready", "False", "InvalidSpec").await;
    assert!(
        invalid.contains("the annotation supercargo.dev/pin must be tag@digest or a digest"),
        "{invalid}"
    );
    scene.story.kubectl(&["delete", "oar", "app"], "");
    scene.story.wait_gone("v1", "configmaps", "a").await;
}

#[story]
async fn two_revisions_of_the_history_are_compared_by_their_digests() {
    let scene = Scene::begin("history-diff").await;
    let namespace = scene.namespace();
    let spec = json!({"wait": true, "commonMetadata": {"labels": {"team": "web"}}});
    scene.install("app", &(config_map("a", "one") + &config_map("b", "one")), spec).await;
    scene.upgraded("app", "2", &(config_map("a", "two") + &config_map("c", "one"))).await;
    // The tag names something else since.
    scene.push("app", "1", &config_map("x", "one"));
    let person = Shell::admin(&scene.story);
    let diff = |from: &str, to: &str| person.run(&["diff", "release", "app", "--from", from, "--to", to]);
    let said = diff("1", "2");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with(&format!("► ConfigMap/{namespace}/a changed\n")), "{said:?}");
    assert!(said.out.contains("-  key: one\n+  key: two\n"), "{said:?}");
    assert!(said.out.contains("c created\n") && said.out.contains("b deleted\n"), "{said:?}");
    assert_eq!(diff("#1", "2").code, 0, "the first of the history is the second revision");
    assert_eq!(diff("1", "none").code, 2);
    assert_eq!(person.run(&["diff", "release", "app", "--from", "1"]).code, 2);
}
