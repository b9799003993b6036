//! Steps, and what people and clusters do to them meanwhile.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, repository, story};

use crate::scene::{ALL_RIGHTS, Scene, account, config_map, message, role};
use crate::shell::Shell;
use crate::steps::{created, failing, let_go, record, step, stuck, wait_outcome, wait_running};

const PROFILES: Profiles = Profiles::First("what a step does does not depend on rights");

/// The manifests that a page shows.
fn manifests(page: &str) -> String {
    let text = std::fs::read_to_string(repository().join(page)).expect("read the page");
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.collect::<Vec<_>>().join("---\n")
}

#[story]
async fn the_page_of_steps_shows_what_can_be_applied() {
    let scene = Scene::begin("steps-page").await;
    let namespace = scene.namespace();
    let person = Shell::admin(&scene.story);
    let yaml = manifests("docs/steps.md");
    let ready = scene.install("app", &yaml, json!({})).await;
    for name in ["migrate", "smoke-test"] {
        assert_eq!(record(&ready, name)["outcome"], "Succeeded", "{ready:#}");
    }
    assert_eq!(record(&ready, "migrate")["timeoutSeconds"], 600);
    scene.story.wait_gone("batch/v1", "jobs", "smoke-test").await;
    let job = scene.story.object("batch/v1", "jobs", "migrate").await.expect("it is kept");
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 600, "it has its lifetime again: {job:#}");
    scene.wait_named("app", &["app", "migrate"]).await;
    let page = person.run(&["status", "release", "app"]).done();
    for part in ["\nSteps\nSTEP ", &format!("Job/{namespace}/migrate "), " before ", " Succeeded "] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // What would run is told before it runs.
    let diff = |arguments: &[&str]| person.run(&[&["diff", "release", "app"], arguments].concat());
    assert_eq!(diff(&[]).done(), "");
    let mark = scene.mark();
    scene.push("app", "2", &(failing(&step("before", "migrate", "", "")) + &config_map("a", "two")));
    let said = diff(&["--to", "2"]);
    for part in [format!("► Job/{namespace}/migrate run\n"), format!("► ConfigMap/{namespace}/a created\n")]
    {
        assert!(said.out.contains(&part), "{said:?}");
    }
    assert_eq!(created(&scene, mark, "migrate"), 0);
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    let said = diff(&[]);
    assert!(said.err.contains("/migrate has failed, and is run again only on request"), "{said:?}");
    // Back on the applied revision nothing runs.
    let said = diff(&["--to", "1"]);
    assert!(!said.out.contains(" run\n"), "{said:?}");
}

#[story]
async fn a_step_goes_on_through_a_suspension_and_the_loss_of_rights() {
    let scene = Scene::begin("steps-interrupted").await;
    let namespace = scene.namespace().to_owned();
    let mark = scene.mark();
    scene.story.apply(&(account("weak") + &role("weak", &namespace, ALL_RIGHTS)));
    scene.push("app", "1", &(stuck(&step("before", "migrate", "", "")) + &config_map("a", "one")));
    scene.create("app", json!({"serviceAccountName": "weak", "retryInterval": "1s"}));
    wait_outcome(&scene, "app", "migrate", "Started").await;
    wait_running(&scene, "migrate").await;
    scene.change("app", json!({"suspend": true}));
    scene.story.wait_condition("app", "Ready", "Unknown", "Suspended").await;
    scene.story.kubectl(&["delete", "rolebinding", "weak"], "");
    scene.change("app", json!({"suspend": false}));
    scene.story.wait_condition("app", "Ready", "False", "AccessDenied").await;
    assert_eq!(scene.config_map("a").await, None);
    let_go(&scene, "migrate").await;
    scene.story.apply(&role("weak", &namespace, ALL_RIGHTS));
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(record(&ready, "migrate")["outcome"], "Succeeded", "{ready:#}");
    assert_eq!(created(&scene, mark, "migrate"), 1);
}

#[story]
async fn every_rollout_of_another_revision_runs_its_own_steps() {
    let scene = Scene::begin("steps-revisions").await;
    let mark = scene.mark();
    let of = |name: &str, value: &str| step("before", name, "", "") + &config_map("a", value);
    scene.install("app", &of("migrate", "one"), json!({})).await;
    // Only its name differs.
    scene.upgraded("app", "2", &of("renamed", "one")).await;
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
    let counts = || ["migrate", "renamed"].map(|name| created(&scene, mark, name));
    assert_eq!(counts(), [1, 1]);
    // The applied revision is another one now: going back is a rollout.
    scene.change("app", json!({"ref": {"tag": "1"}}));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(counts(), [2, 1]);
    // The same tag with another digest, whose template also differs.
    let moved =
        step("before", "migrate", "", "").replace("image: main", "image: other") + &config_map("a", "moved");
    scene.push("app", "1", &moved);
    scene.reconcile("app", "moved").await;
    scene.wait_data("a", "moved").await;
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(counts(), [3, 1]);
    // The spec changes the objects.
    scene.change("app", json!({"commonMetadata": {"labels": {"team": "web"}}}));
    scene.story.wait_for("the step has run again", async || (counts() == [4, 1]).then_some(())).await;
    scene.story.wait_ready("app", "1@").await;
    scene.wait_named("app", &["a", "migrate"]).await;
}

#[story]
async fn more_steps_than_a_status_holds_are_refused() {
    let scene = Scene::begin("steps-many").await;
    let many: String = (0..33).map(|n| step("before", &format!("s-{n:02}"), "", "")).collect();
    scene.push("app", "1", &(many + &config_map("a", "one")));
    scene.create("app", json!({}));
    let refused = scene.story.wait_condition("app", "Ready", "False", "ManifestInvalid").await;
    let said = message(&refused, "Ready");
    assert!(said.contains("nothing applied, invalid 1 object; Job/"), "{said}");
    assert!(said.contains("a revision has at most 32 steps"), "{said}");
    assert_eq!((scene.config_map("a").await, refused["status"].get("steps")), (None, None));
    // Fewer run together.
    let all: String = (0..10).map(|n| step("before", &format!("s-{n:02}"), "", "")).collect();
    let ready = scene.upgraded("app", "2", &(all + &config_map("a", "one"))).await;
    let records = ready["status"]["steps"].as_array().cloned().unwrap_or_default();
    assert_eq!(records.iter().filter(|r| r["outcome"] == "Succeeded").count(), 10, "{ready:#}");
}

#[story]
async fn what_its_own_manifest_suspends_is_waited_for_in_peace() {
    let scene = Scene::begin("steps-queued").await;
    scene.push("app", "1", &(step("before", "queued", "", "  suspend: true\n") + &config_map("a", "one")));
    scene.create("app", json!({}));
    let confirmed = async || {
        let release = scene.story.release("app").await?;
        record(&release, "queued").get("uid").cloned()
    };
    scene.story.wait_for("the Job is recorded", confirmed).await;
    // A queue admits it when it is its turn. It is not read in a loop while others are applied.
    let mark = scene.mark();
    scene.install("other", &config_map("other", "one"), json!({})).await;
    scene.upgraded("other", "2", &config_map("other", "two")).await;
    let reads = scene.requests(mark).iter().filter(|r| r.resource == "jobs" && r.verb == "get").count();
    assert!(reads < 10, "{reads} reads of the Job");
    scene.patch("batch/v1", "jobs", "queued", json!({"spec": {"suspend": false}}));
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(record(&ready, "queued")["outcome"], "Succeeded", "{ready:#}");
}

#[story]
async fn a_late_run_is_gone_with_its_pods_before_the_next_one_begins() {
    let scene = Scene::begin("steps-overlap").await;
    let mark = scene.mark();
    let late = ", supercargo.dev/step-timeout: 2s, supercargo.dev/step-retries: \"1\"";
    scene.push("app", "1", &stuck(&step("before", "late", late, "")));
    scene.create("app", json!({"retryInterval": "1h"}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    let record = record(&failed, "late");
    assert_eq!((&record["outcome"], &record["attempt"]), (&json!("TimedOut"), &json!(2)), "{failed:#}");
    scene.story.wait_gone("batch/v1", "jobs", "late").await;
    let pods = scene.story.kubectl(&["get", "pods", "-l", "job=late", "-o", "name"], "");
    assert_eq!(pods, "", "the Job goes after its pods");
    assert_eq!(created(&scene, mark, "late"), 2);
}

#[story]
async fn the_namespace_of_a_step_that_goes_ends_it_as_unknown() {
    let scene = Scene::builder("steps-namespace").await.start();
    let other = format!("{}-jobs", scene.namespace());
    let namespace = format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n---\n");
    scene.install("home", &namespace, json!({"prune": false})).await;
    let held = step("before", "held", "", "  suspend: true\n")
        .replace("metadata: {name: held,", &format!("metadata: {{name: held, namespace: {other},"));
    scene.push("app", "1", &(held + &config_map("a", "one")));
    scene.create("app", json!({}));
    let record = wait_outcome(&scene, "app", "held", "Started").await;
    assert_eq!(record["step"], format!("Job/{other}/held"));
    scene.story.kubectl(&["delete", "namespace", &other, "--wait=false"], "");
    let failed = scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    assert!(
        message(&failed, "Ready").contains("it was deleted before its outcome was recorded"),
        "{failed:#}"
    );
    assert_eq!(self::record(&failed, "held")["outcome"], Value::from("Unknown"));
    assert_eq!(scene.config_map("a").await, None);
}
