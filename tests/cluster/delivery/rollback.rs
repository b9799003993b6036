//! The way back: a revision that fails is replaced by the last healthy one, once.

use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Registry, repository, story};

use crate::quiet::{api_requests, wait_asked};
use crate::scene::{Scene, config_map, deployment, failing_deployment, message, text};
use crate::steps::{failing, step};
use crate::verdicts::{held, loops, pods_say};

const PROFILES: Profiles = Profiles::First("what a failed revision leads to does not depend on rights");

/// The pods of the revision that fails.
const NEW_PODS: &str = "app=web,testbed.supercargo.dev/pod=held";

/// A release that goes back.
pub fn on_failure() -> Value {
    json!({"wait": true, "timeout": "10m", "rollback": {"mode": "OnFailure"}})
}

/// A revision with a workload, and what only it has.
pub fn good(value: &str) -> String {
    config_map("a", value) + &deployment("web", &format!("web:{value}"), 1)
}

/// A revision whose pods crash once the story says so, with an object that no other has.
pub fn bad(value: &str) -> String {
    config_map("a", value) + &config_map("new", value) + &held("web", &format!("web:{value}"), "")
}

/// Publishes a revision that fails, and waits until the release has gone back.
pub async fn go_back(scene: &Scene<'_>, tag: &str) -> Value {
    scene.upgrade("app", tag, &bad(tag));
    pods_say(scene, NEW_PODS, &loops(2, "Error", 1)).await;
    scene.story.wait_condition("app", "Ready", "False", "RolledBack").await
}

/// A release that goes back, and whose ConfigMaps say themselves whether they are healthy.
pub fn judged() -> Value {
    let failed = "data.key.startsWith('bad') || has(data.broken) && data.broken == 'yes'";
    let rule =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "current": "data.key != ''", "failed": failed});
    json!({"wait": true, "timeout": "10m", "rollback": {"mode": "OnFailure"}, "healthCheckExprs": [rule]})
}

/// The outcomes in the history, newest first.
pub fn outcomes(release: &Value) -> Vec<String> {
    let entries = release["status"]["history"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| text(entry, "/outcome")).collect()
}

/// The quarantined revisions.
pub fn quarantined(release: &Value) -> Vec<String> {
    let entries = release["status"]["quarantine"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| text(entry, "/revision")).collect()
}

#[story]
async fn a_revision_that_fails_is_replaced_by_the_last_healthy_one_and_does_not_come_back() {
    let mut scene = Scene::begin("rollback").await;
    let first = scene.install("app", &good("1"), on_failure()).await;
    let rolled = go_back(&scene, "2").await;
    let (old, new) = (text(&first, "/status/lastAppliedRevision"), text(&rolled, "/status/heldRevision"));
    assert!(new.starts_with("2@"), "{new}");

    // The old revision is there, and nothing of the new one.
    assert_eq!(scene.data("a").await.as_deref(), Some("1"));
    assert_eq!(scene.named("app").await, ["a", "web"]);
    scene.story.wait_gone("v1", "configmaps", "new").await;
    let image = "/spec/template/spec/containers/0/image";
    scene.wait_field("apps/v1", "deployments", "web", image, &json!("web:1")).await;

    // The status says what failed and what runs.
    let status = &rolled["status"];
    for (field, expected) in [("lastAppliedRevision", &old), ("lastHealthyRevision", &old)] {
        assert_eq!(status[field], **expected, "{field}");
    }
    let said = message(&rolled, "Ready");
    assert!(said.starts_with("Rolled back to 1@sha256:"), "{said}");
    assert!(said.contains(": revision 2@sha256:"), "{said}");
    assert!(said.contains("has failed (HealthCheckFailed: unhealthy; Deployment/"), "{said}");
    assert_eq!(message(&rolled, "Stalled"), said);
    assert_eq!(condition(&rolled, "Healthy").expect("it is judged").status, "True");
    assert_eq!(quarantined(&rolled), [new.as_str()]);
    assert_eq!(status["quarantine"][0]["backTo"], old);
    let failure = &status["failures"][0];
    assert_eq!(failure["object"], format!("Deployment/{}/web", scene.namespace()));
    assert!(text(failure, "/message").contains("container web keeps crashing"), "{failure}");
    assert_eq!(outcomes(&rolled), ["Healthy", "Failed", "Healthy"]);
    scene.wait_event("app", "RolledBack", &["Rolled back to 1@sha256:"]).await;

    // Whoever applies the same spec again gets the same answer, and so does another process.
    let again = async |scene: &Scene<'_>, value: &str| {
        let mark = scene.mark();
        scene.story.apply(
            &scene
                .release("app", {
                    let mut spec = on_failure();
                    spec["ref"] = json!({"tag": "2"});
                    spec
                })
                .to_string(),
        );
        let seen = scene.reconcile("app", value).await;
        assert_eq!(message(&seen, "Ready"), said);
        assert_eq!(quarantined(&seen), [new.as_str()]);
        assert_eq!(seen["status"]["history"], rolled["status"]["history"]);
        assert_eq!(seen["status"]["failures"], rolled["status"]["failures"]);
        assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    };
    again(&scene, "re-applied").await;
    scene.restart();
    again(&scene, "restarted").await;
    scene.replace_operator(async |_| {}).await;
    again(&scene, "replaced").await;

    // Drift of the old revision is corrected.
    scene.edit("a", "edited");
    scene.wait_data("a", "1").await;

    // Another digest under the same tag is another revision.
    scene.push("app", "2", &good("2b"));
    scene.ask("app", "fixed");
    let fixed = scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("2b"));
    assert_eq!(fixed["status"]["failures"], Value::Null);
}

#[story]
async fn what_has_failed_does_not_come_back_under_another_tag() {
    let mut scene = Scene::begin("rollback-tag").await;
    scene.install("app", &config_map("a", "1"), judged()).await;
    scene.upgrade("app", "2", &config_map("a", "bad"));
    let rolled = scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    let failed = quarantined(&rolled);
    let image = format!("{}/{}:2", scene.registry().host(), scene.repository("app"));
    scene.registry().crane(&["tag", &image, "3"]);
    scene.change("app", json!({"ref": {"tag": "3"}}));
    let named = async || {
        let release = scene.story.release("app").await?;
        text(&release, "/status/heldRevision").starts_with("3@").then_some(release)
    };
    let held = scene.story.wait_for("the release follows the other tag", named).await;
    assert_eq!(quarantined(&held), failed);
    let stays = async |scene: &Scene<'_>, value: &str| {
        // Drift is corrected by a run that does not ask the registry.
        scene.edit("a", "edited");
        scene.wait_data("a", "1").await;
        let seen = scene.reconcile("app", value).await;
        assert_eq!(condition(&seen, "Ready").expect("it is judged").reason, "RolledBack");
        assert_eq!(quarantined(&seen), failed);
        assert_eq!(outcomes(&seen), ["Healthy", "Failed", "Healthy"]);
    };
    stays(&scene, "drifted").await;
    scene.restart();
    stays(&scene, "restarted").await;
}

#[story]
async fn the_environment_is_no_verdict() {
    let scene = Scene::builder("rollback-env").await.own_registry(Registry::plain()).start();
    let mut spec = on_failure();
    spec["timeout"] = json!("3s");
    scene.install("app", &config_map("a", "one"), spec.clone()).await;
    // No room for pods, which another revision would not find either.
    let quota = "---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {pods: \"0\"}}\n---\n";
    scene.story.apply(quota);
    scene.wait_field("v1", "resourcequotas", "none", "/status/hard/pods", &json!("0")).await;
    scene.upgrade("app", "2", &(config_map("a", "two") + &deployment("web", "web:2", 1)));
    let full = scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    assert!(message(&full, "Ready").contains("exceeded quota"), "{full:#}");
    assert_eq!(quarantined(&full), Vec::<String>::new());
    // No such tag.
    scene.change("app", json!({"ref": {"tag": "3"}}));
    let missing = scene.story.wait_condition("app", "Ready", "False", "ArtifactNotFound").await;
    assert_eq!(quarantined(&missing), Vec::<String>::new());
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.kubectl(&["delete", "resourcequota", "none"], "");
    scene.story.wait_ready("app", "2@").await;
}

#[story]
async fn a_way_back_does_not_need_the_registry() {
    let scene = Scene::builder("rollback-cache").await.own_registry(Registry::plain()).start();
    scene.install("app", &good("1"), on_failure()).await;
    scene.upgrade("app", "2", &bad("2"));
    scene.wait_message("app", "Unknown", "(revision 2@").await;
    scene.registry().stop();
    pods_say(&scene, NEW_PODS, &loops(2, "Error", 1)).await;
    let rolled = scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("1"));
    // While the registry is away, that stays the answer.
    scene.ask("app", "away");
    let away = scene.wait_handled("app", "away").await;
    assert_eq!(message(&away, "Ready"), message(&rolled, "Ready"));
    assert!(condition(&away, "FetchFailed").is_some(), "{away:#}");
}

#[story]
async fn a_step_that_fails_sends_the_revision_back_before_anything_is_written() {
    let scene = Scene::begin("rollback-steps").await;
    scene.install("app", &config_map("a", "one"), judged()).await;
    let mark = scene.mark();
    scene.upgrade("app", "2", &(failing(&step("before", "migrate", "", "")) + &config_map("a", "two")));
    let rolled = scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    assert!(
        message(&rolled, "Ready")
            .contains("has failed (StepFailed: nothing else applied, step failed for 1 object")
    );
    assert_eq!(outcomes(&rolled), ["Failed", "Healthy"]);
    assert_eq!(rolled["status"]["history"][0]["reason"], "StepFailed");
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
    let written = scene.object_writes(mark);
    assert!(written.iter().all(|write| write.contains(" jobs/")), "{written:?}");
    scene.reconcile("app", "again").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
}

#[story]
async fn an_interval_after_a_way_back_costs_no_request() {
    let scene = Scene::builder("rollback-quiet").await.own_registry(Registry::plain()).slow_retries().start();
    for (name, mode, reason) in [("back", "OnFailure", "RolledBack"), ("frozen", "Freeze", "Frozen")] {
        let mut spec = judged();
        (spec["interval"], spec["rollback"]) = (json!("10s"), json!({"mode": mode}));
        scene.install(name, &config_map(name, "one"), spec).await;
        scene.upgrade(name, "2", &config_map(name, "bad"));
        scene.story.wait_condition(name, "Ready", "False", reason).await;
    }
    // The events are written beside the runs.
    let first = scene.registry().mark();
    for name in ["back", "frozen"] {
        wait_asked(&scene, name, first, 1).await;
    }
    let (mark, audit) = (scene.registry().mark(), scene.mark());
    for name in ["back", "frozen"] {
        wait_asked(&scene, name, mark, 1).await;
    }
    assert_eq!(api_requests(&scene, audit), Vec::<String>::new());
    let counted =
        |result: &str| scene.operator.metric(&format!("supercargo_rollbacks_total{{result=\"{result}\"}}"));
    assert_eq!((counted("rolled_back"), counted("frozen")), (Some(1.0), Some(1.0)));
    let waiting = scene.operator.metric("supercargo_releases_waiting{gate=\"quarantine\"}");
    assert_eq!(waiting, Some(2.0));
}

#[story]
async fn the_page_shows_a_release_that_can_be_applied() {
    let scene = Scene::begin("rollback-page").await;
    let page = std::fs::read_to_string(repository().join("docs/delivery.md")).expect("read the page");
    let (_, section) = page.split_once("## The way back\n").expect("a section");
    let yaml = section.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("YAML");
    let yaml = yaml.replace("namespace: default", &format!("namespace: {}", scene.namespace()));
    scene.story.kubectl(&["apply", "--dry-run=server", "-f", "-"], &yaml);
    let annotated =
        format!("---\n{}", step("before", "migrate", ", supercargo.dev/side-effects: 'true'", ""));
    scene.install("app", &annotated, json!({})).await;
    let release = scene.story.release("app").await.expect("the release");
    assert_eq!(release["status"]["steps"][0]["sideEffects"], true);
}

/// The condition of the Deployment is still about the pods that have failed when the earlier revision
/// is applied again.
#[story]
async fn a_deadline_that_the_failed_revision_exceeded_does_not_count_for_the_way_back() {
    let scene = Scene::begin("rollback-deadline").await;
    let first = deployment("web", "web:1", 1)
        .replace("  replicas: 1\n", "  replicas: 1\n  progressDeadlineSeconds: 1\n");
    scene.install("app", &first, on_failure()).await;
    scene.upgrade("app", "2", &failing_deployment("web", "web:2"));
    let back = scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    assert_eq!(outcomes(&back), ["Healthy", "Failed", "Healthy"]);
}
