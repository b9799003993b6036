//! Steps, an explicit order, dependencies and named health checks in one release.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::dependencies::{depends_on, make_ready, quiet, waits};
use crate::scene::{Scene, annotated, config_map, is_own, message, unready_deployment};
use crate::steps::{created, let_go, record, step, stuck, wait_outcome, wait_running};
use crate::verdicts::{held, loops, pods_say};

const PROFILES: Profiles = Profiles::First("how waits meet does not depend on rights");

/// A Deployment that becomes healthy when the story says so, with annotations.
fn unready(name: &str, annotations: &str) -> String {
    unready_deployment(name).replace(
        &format!("metadata: {{name: {name}}}\nspec"),
        &format!("metadata: {{name: {name}, annotations: {{{annotations}}}}}\nspec"),
    )
}

async fn wait_no_dependencies(scene: &Scene<'_>, release: &str) {
    let none = async || {
        let release = scene.story.release(release).await?;
        release["status"].get("dependencies").is_none().then_some(())
    };
    scene.story.wait_for("no dependency is waited for", none).await;
}

#[story]
async fn every_wait_of_a_rollout_survives_a_suspension_and_a_restart_and_no_step_runs_twice() {
    let mut scene = Scene::begin("together").await;
    let yaml = [
        stuck(&step("before", "migrate", "", "")),
        unready("slow", "supercargo.dev/wave: '-1'"),
        config_map("late", "one"),
        stuck(&step("after", "smoke", "", "")),
    ];
    let yaml = yaml.concat();
    scene.push("app", "1", &yaml);
    let mark = scene.mark();
    let named = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "later"}]);
    let spec = json!({"timeout": "1h", "dependsOn": depends_on(&["db"]), "healthChecks": named});
    scene.create("app", quiet(spec));
    waits(&scene, "app", "does not exist").await;
    scene.change("app", json!({"suspend": true}));
    scene.wait_observed("app").await;
    scene.restart();
    scene.change("app", json!({"suspend": false}));
    waits(&scene, "app", "does not exist").await;
    scene.install("db", &config_map("db", "one"), quiet(json!({}))).await;

    // The step before the rest.
    wait_running(&scene, "migrate").await;
    scene.wait_message("app", "Unknown", "Waiting for steps before").await;
    wait_no_dependencies(&scene, "app").await;
    scene.change("app", json!({"suspend": true}));
    scene.wait_reason("app", "Ready", "Unknown", "Suspended").await;
    scene.restart();
    scene.change("app", json!({"suspend": false}));
    scene.wait_message("app", "Unknown", "Waiting for steps before").await;
    assert!(scene.config_map("late").await.is_none());
    // What is waited for does not matter once it has begun to be applied.
    let_go(&scene, "migrate").await;

    // A round.
    scene.wait_message("app", "Unknown", " before applying 1 object ").await;
    scene.change("app", json!({"suspend": true}));
    scene.wait_reason("app", "Ready", "Unknown", "Suspended").await;
    scene.restart();
    scene.change("app", json!({"suspend": false}));
    scene.wait_message("app", "Unknown", " before applying 1 object ").await;
    assert!(scene.config_map("late").await.is_none());
    make_ready(&scene, "slow");

    // The health of named objects and of all others.
    scene.wait_message("app", "Unknown", "ConfigMap/").await;
    scene.restart();
    scene.story.apply(&config_map("later", "one"));

    // The step after the rest.
    wait_running(&scene, "smoke").await;
    scene.wait_message("app", "Unknown", "Waiting for steps after").await;
    scene.edit("late", "by hand");
    scene.wait_data("late", "one").await;
    scene.change("app", json!({"suspend": true}));
    scene.wait_reason("app", "Ready", "Unknown", "Suspended").await;
    scene.restart();
    scene.change("app", json!({"suspend": false}));
    scene.wait_message("app", "Unknown", "Waiting for steps after").await;
    let_go(&scene, "smoke").await;
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(message(&ready, "Healthy"), "All objects are healthy");
    let runs = |scene: &Scene<'_>| (created(scene, mark, "migrate"), created(scene, mark, "smoke"));
    assert_eq!(runs(&scene), (1, 1));

    // Only the named object counts from now on.
    scene.story.kubectl(&["delete", "pods", "-l", "app=slow"], "");
    let unavailable = json!(1);
    scene.wait_field("apps/v1", "deployments", "slow", "/status/unavailableReplicas", &unavailable).await;
    scene.edit("late", "by hand");
    scene.wait_data("late", "one").await;
    let events = scene.events("app").await;
    assert!(!events.iter().any(|(reason, _)| reason == "Unhealthy"), "{events:#?}");
    scene.edit("later", "by hand");
    let after = scene.reconcile("app", "again").await;
    assert_eq!(
        (message(&after, "Ready"), message(&after, "Healthy")),
        (message(&ready, "Ready"), message(&ready, "Healthy"))
    );

    // Other expressions judge anew and run nothing.
    let rules = |value: &str| json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": format!("data.key == '{value}'")}]);
    scene.change("app", json!({"healthCheckExprs": rules("never")}));
    scene.wait_reason("app", "Healthy", "False", "Unhealthy").await;
    scene.change("app", json!({"healthCheckExprs": rules("by hand")}));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(runs(&scene), (1, 1));

    // At rest, nothing is written.
    let quiet = scene.reconcile("app", "rest").await;
    let mark = scene.mark();
    scene.reconcile("app", "rest-2").await;
    let requests = scene.requests(mark);
    let of_objects: Vec<_> = requests.iter().filter(|request| !is_own(request)).collect();
    assert!(of_objects.len() <= 1, "only the object outside of the artifact is read: {of_objects:#?}");
    assert_eq!(scene.writes(mark).len(), 0);
    assert_eq!(message(&quiet, "Ready"), message(&ready, "Ready"));
}

#[story]
async fn what_waits_for_a_step_before_the_rest_may_be_in_an_early_wave() {
    let scene = Scene::begin("together-wave").await;
    let on = format!(
        "{{supercargo.dev/wave: '-1', config.kubernetes.io/depends-on: batch/namespaces/{}/Job/migrate}}",
        scene.namespace()
    );
    let yaml = [step("before", "migrate", "", ""), annotated("early", &on), config_map("late", "one")];
    scene.install("app", &yaml.concat(), json!({})).await;
}

#[story]
async fn an_ignored_dependency_that_is_late_holds_the_rest_only_until_the_timeout() {
    let scene = Scene::begin("together-ignore").await;
    let slow = unready("slow", "supercargo.dev/wave: '-1', supercargo.dev/fail-mode: Ignore");
    scene.push("app", "1", &(slow + &config_map("late", "one")));
    scene.create("app", json!({"timeout": "2s", "retryInterval": "1h"}));
    scene.story.wait_ready("app", "1@").await;
    assert!(scene.config_map("late").await.is_some());
}

#[story]
async fn drift_is_corrected_while_a_revision_with_other_expressions_waits() {
    let scene = Scene::begin("together-drift").await;
    scene.install("app", &config_map("a", "one"), quiet(json!({}))).await;
    scene.push("app", "2", &config_map("a", "two"));
    let rules = json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "misspelt == 1"}]);
    let spec = json!({"ref": {"tag": "2"}, "dependsOn": depends_on(&["db"]), "wait": true, "healthCheckExprs": rules});
    scene.change("app", spec);
    waits(&scene, "app", "does not exist").await;
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    scene.push("db", "1", &config_map("db", "one"));
    scene.create("db", json!({}));
    scene.wait_reason("app", "Ready", "False", "InvalidCELExpression").await;
}

#[story]
async fn a_missing_dependency_is_named_after_a_run_that_applies_too() {
    let scene = Scene::begin("together-lost").await;
    scene.install("db", &config_map("db", "one"), quiet(json!({}))).await;
    scene.install("app", &config_map("a", "one"), quiet(json!({"dependsOn": depends_on(&["db"])}))).await;
    scene.story.kubectl(&["delete", "oar", "db", "--timeout=60s"], "");
    let lost = scene.wait_message("app", "True", "db does not exist").await;
    // The revision is applied, and its health is not known yet.
    scene.change("app", json!({"wait": true}));
    scene.wait_reason("app", "Healthy", "True", "Healthy").await;
    let waited = scene.story.release("app").await.expect("it exists");
    assert_eq!(message(&waited, "Ready"), message(&lost, "Ready"));
}

#[story]
async fn a_release_of_steps_alone_is_a_dependency_like_any_other() {
    let scene = Scene::begin("together-steps").await;
    let yaml = step("before", "first", ", supercargo.dev/step-cleanup: Always", "")
        + &step("after", "second", ", supercargo.dev/step-cleanup: Always", "");
    scene.push("jobs", "1", &yaml);
    scene.push("app", "1", &config_map("a", "one"));
    let mark = scene.mark();
    scene.create("app", quiet(json!({"dependsOn": depends_on(&["jobs"])})));
    scene.create("jobs", quiet(json!({"wait": true})));
    let jobs = scene.story.wait_ready("jobs", "1@").await;
    scene.story.wait_ready("app", "1@").await;
    let said = message(&jobs, "Ready");
    scene.story.wait_gone("batch/v1", "jobs", "first").await;
    scene.story.wait_gone("batch/v1", "jobs", "second").await;
    let again = scene.reconcile("jobs", "again").await;
    assert_eq!(message(&again, "Ready"), said);
    scene.upgrade("jobs", "2", &yaml.replace("main: 1", "main: 2").replace("image: main", "image: other"));
    scene.upgrade("app", "2", &config_map("a", "two"));
    let jobs = scene.story.wait_ready("jobs", "2@").await;
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(record(&jobs, "first")["outcome"], "Succeeded");
    assert_eq!((created(&scene, mark, "first"), created(&scene, mark, "second")), (2, 2));
    scene.story.kubectl(&["delete", "oar", "jobs", "app", "--timeout=60s"], "");
}

#[story]
async fn a_release_can_be_deleted_in_each_of_its_waits() {
    let scene = Scene::begin("together-gone").await;
    let gone = async |name: &str, config: &str| {
        scene.story.kubectl(&["delete", "oar", name, "--timeout=60s"], "");
        assert!(scene.config_map(config).await.is_none(), "{name}");
    };
    scene.push("waits", "1", &config_map("a", "one"));
    scene.create("waits", quiet(json!({"dependsOn": depends_on(&["nothing"])})));
    waits(&scene, "waits", "does not exist").await;
    gone("waits", "a").await;

    let before = stuck(&step("before", "migrate", "", "")) + &config_map("b", "one");
    scene.push("before", "1", &before);
    scene.create("before", quiet(json!({"timeout": "1h"})));
    wait_running(&scene, "migrate").await;
    gone("before", "b").await;
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;

    scene.push("round", "1", &(unready("slow", "supercargo.dev/wave: '-1'") + &config_map("c", "one")));
    scene.create("round", quiet(json!({"timeout": "1h"})));
    scene.wait_message("round", "Unknown", " before applying 1 object ").await;
    gone("round", "c").await;
    scene.story.wait_gone("apps/v1", "deployments", "slow").await;

    let after = stuck(&step("after", "smoke", "", "")) + &config_map("d", "one");
    scene.push("after", "1", &after);
    scene.create("after", quiet(json!({"timeout": "1h"})));
    wait_running(&scene, "smoke").await;
    wait_outcome(&scene, "after", "smoke", "Started").await;
    gone("after", "d").await;
    scene.story.wait_gone("batch/v1", "jobs", "smoke").await;
}

#[story]
async fn a_wait_that_has_failed_costs_nothing_once_it_is_over() {
    let scene = Scene::begin("together-rest").await;
    scene.push("app", "1", &(unready("slow", "supercargo.dev/wave: '-1'") + &config_map("late", "one")));
    scene.create("app", json!({"timeout": "1s", "retryInterval": "1h", "interval": "24h"}));
    scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    make_ready(&scene, "slow");
    scene.story.wait_ready("app", "1@").await;
    let mark = scene.mark();
    scene.story.kubectl(&["delete", "pods", "-l", "app=slow"], "");
    let unhealthy = async || {
        let object = scene.story.object("apps/v1", "deployments", "slow").await?;
        (object.pointer("/status/readyReplicas").unwrap_or(&Value::Null) == &Value::Null).then_some(())
    };
    scene.story.wait_for("it is not healthy any more", unhealthy).await;
    scene.edit("late", "by hand");
    scene.wait_data("late", "one").await;
    let requests = scene.requests(mark);
    let reads = requests.iter().filter(|r| r.verb == "get" && r.resource == "deployments").count();
    assert_eq!(reads, 0, "{requests:#?}");
}

#[story]
async fn a_failed_health_before_the_last_steps_is_seen_to_heal() {
    let scene = Scene::begin("together-heal").await;
    scene.push(
        "app",
        "1",
        &(unready("slow", "a: b") + &step("after", "smoke", ", supercargo.dev/step-timeout: 5m", "")),
    );
    scene.create("app", json!({"timeout": "1s", "retryInterval": "1h", "interval": "24h"}));
    scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    make_ready(&scene, "slow");
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn a_suspended_release_looks_for_no_kind() {
    let scene = Scene::begin("together-kind").await;
    scene.push("app", "1", &config_map("a", "one"));
    let gadget = json!([{"name": "g", "kind": "Gadget", "apiVersion": "nowhere.example.com/v1"}]);
    scene.create("app", quiet(json!({"dependsOn": gadget})));
    waits(&scene, "app", "is of a kind that the API server does not serve").await;
    scene.push("slow", "1", &unready_deployment("slow"));
    scene.create("slow", quiet(json!({"wait": true, "timeout": "12s"})));
    scene.wait_message("slow", "Unknown", "Waiting for 1 of 1 object").await;
    scene.change("app", json!({"suspend": true}));
    scene.wait_observed("app").await;
    let mark = scene.mark();
    // Longer than from one look to the next.
    scene.story.wait_condition("slow", "Ready", "False", "HealthTimeout").await;
    let looks: Vec<String> =
        scene.requests(mark).into_iter().filter(|r| r.resource.is_empty()).map(|r| r.uri).collect();
    assert!(!looks.iter().any(|uri| uri.starts_with("/api")), "{looks:?}");
}

#[story]
async fn going_back_from_a_round_runs_no_step_again() {
    let scene = Scene::begin("together-back").await;
    let first = step("before", "migrate", "", "") + &config_map("a", "one");
    let mark = scene.mark();
    scene.install("app", &first, quiet(json!({"timeout": "1h"}))).await;
    let second = unready("slow", "supercargo.dev/wave: '-1'") + &config_map("a", "two");
    scene.upgrade("app", "2", &(step("before", "migrate", ", supercargo.dev/x: '1'", "") + &second));
    scene.wait_message("app", "Unknown", " before applying 1 object ").await;
    assert_eq!(created(&scene, mark, "migrate"), 2);
    scene.upgrade("app", "3", &second);
    scene.wait_message("app", "Unknown", " before applying 1 object (revision 3@").await;
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_message("app", "Unknown", " before applying 1 object (revision 2@").await;
    assert_eq!(created(&scene, mark, "migrate"), 2);
    make_ready(&scene, "slow");
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
}

#[story]
async fn no_wait_holds_the_only_worker() {
    let flag = "--concurrency=1";
    let scene = Scene::builder("together-worker").await.argument(flag).start();
    scene.push("depends", "1", &config_map("a", "one"));
    scene.create("depends", quiet(json!({"dependsOn": depends_on(&["nothing"])})));
    waits(&scene, "depends", "does not exist").await;
    scene.push("before", "1", &(stuck(&step("before", "migrate", "", "")) + &config_map("b", "one")));
    scene.create("before", quiet(json!({"timeout": "1h"})));
    scene.wait_message("before", "Unknown", "Waiting for steps before").await;
    scene.push("round", "1", &(unready("slow", "supercargo.dev/wave: '-1'") + &config_map("c", "one")));
    scene.create("round", quiet(json!({"timeout": "1h"})));
    scene.wait_message("round", "Unknown", " before applying 1 object ").await;
    scene.push("health", "1", &(unready_deployment("ill") + &step("after", "never", "", "")));
    scene.create("health", quiet(json!({"timeout": "1h"})));
    scene.wait_message("health", "Unknown", "Waiting for 1 of 1 object").await;
    scene.push("after", "1", &(stuck(&step("after", "smoke", "", "")) + &config_map("d", "one")));
    scene.create("after", quiet(json!({"timeout": "1h"})));
    scene.wait_message("after", "Unknown", "Waiting for steps after").await;
    scene.install("other", &config_map("e", "one"), json!({})).await;
}

#[story]
async fn a_round_ends_when_nothing_changes_for_too_long() {
    let scene = Scene::begin("together-progress").await;
    let more = "supercargo.dev/wave: '-1', supercargo.dev/fail-mode: HopeUntilEnd, supercargo.dev/no-progress-timeout: 3s";
    scene.push("app", "1", &(held("db", "db:1", more) + &config_map("a", "one")));
    scene.create("app", json!({"timeout": "1h", "retryInterval": "1h"}));
    pods_say(&scene, "app=db", &loops(4, "OOMKilled", 137)).await;
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.starts_with("1 object not applied: a dependency has failed; Deployment/"), "{said}");
    assert!(said.ends_with("OOMKilled, at least 2 times; nothing has changed for 3s"), "{said}");
    let again = scene.reconcile("app", "again").await;
    assert_eq!(message(&again, "Ready"), said);
}

#[story]
async fn a_named_object_that_has_run_to_its_end_may_be_gone() {
    let mut scene = Scene::begin("together-named").await;
    let once = step("before", "once", "", "  ttlSecondsAfterFinished: 0\n")
        .replace("supercargo.dev/step: before", "a: b");
    let smoke = step("after", "smoke", ", supercargo.dev/step-cleanup: Always", "");
    let job = |name: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "name": name});
    let spec = json!({"timeout": "20s", "retryInterval": "1h", "healthChecks": [job("once"), job("smoke")]});
    let first = once.clone() + &smoke + &config_map("a", "one");
    let ready = scene.install("app", &first, spec).await;
    scene.story.wait_gone("batch/v1", "jobs", "once").await;
    scene.story.wait_gone("batch/v1", "jobs", "smoke").await;
    let again = scene.reconcile("app", "again").await;
    assert_eq!(message(&again, "Ready"), message(&ready, "Ready"));
    scene.restart();
    scene.upgraded("app", "2", &(once + &smoke + &config_map("a", "two"))).await;
}

#[story]
async fn a_step_that_runs_is_kept_while_its_release_waits_for_a_lost_dependency() {
    let mut scene = Scene::begin("together-lost-step").await;
    scene.install("db", &config_map("db", "one"), quiet(json!({}))).await;
    scene.push("app", "1", &(stuck(&step("before", "migrate", "", "")) + &config_map("a", "one")));
    let mark = scene.mark();
    scene.create("app", quiet(json!({"timeout": "1h", "dependsOn": depends_on(&["db"])})));
    wait_running(&scene, "migrate").await;
    scene.story.kubectl(&["delete", "oar", "db", "--timeout=60s"], "");
    waits(&scene, "app", "does not exist").await;
    scene.restart();
    let_go(&scene, "migrate").await;
    scene.create("db", quiet(json!({})));
    scene.story.wait_ready("app", "1@").await;
    wait_outcome(&scene, "app", "migrate", "Succeeded").await;
    assert_eq!(created(&scene, mark, "migrate"), 1);
}

#[story]
async fn expressions_decide_about_a_round_and_may_change_meanwhile() {
    let scene = Scene::begin("together-cel").await;
    let yaml = annotated("early", "{supercargo.dev/wave: '-1'}") + &config_map("late", "one");
    scene.push("app", "1", &yaml);
    let rules = |value: &str| json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": format!("data.key == '{value}'")}]);
    scene.create("app", quiet(json!({"timeout": "1h", "healthCheckExprs": rules("two")})));
    scene.wait_message("app", "Unknown", " before applying 1 object ").await;
    assert!(scene.config_map("late").await.is_none());
    scene.change("app", json!({"healthCheckExprs": rules("one")}));
    scene.story.wait_ready("app", "1@").await;
    let rules = json!([{"apiVersion": "v1", "kind": "ConfigMap", "ignore": true}]);
    scene.change("app", json!({"healthCheckExprs": rules}));
    scene.upgraded("app", "2", &yaml.replace("one", "three")).await;
}

#[story]
async fn what_left_is_deleted_in_reverse_after_the_last_steps() {
    let scene = Scene::begin("together-prune").await;
    let on = format!("{{config.kubernetes.io/depends-on: /namespaces/{}/ConfigMap/base}}", scene.namespace());
    let old = step("before", "migrate", ", supercargo.dev/wave: '9'", "")
        + &config_map("base", "one")
        + &annotated("top", &on);
    scene.install("app", &old, quiet(json!({}))).await;
    let new = crate::steps::failing(&step("after", "smoke", "", "")) + &config_map("a", "one");
    let digest = scene.push("app", "2", &new);
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_reason("app", "Ready", "False", "StepFailed").await;
    assert!(scene.config_map("base").await.is_some() && scene.config_map("top").await.is_some());
    let mark = scene.mark();
    scene.annotate("app", "supercargo.dev/steps-done", &digest);
    scene.story.wait_ready("app", "2@").await;
    let deleted: Vec<String> =
        scene.writes(mark).into_iter().filter(|r| r.verb == "delete").map(|r| r.name).collect();
    let place = |name: &str| deleted.iter().position(|n| n == name).expect("it is deleted");
    assert!(place("top") < place("base"), "{deleted:?}");
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
}

#[story]
async fn an_ignored_failure_holds_no_step_after_the_rest() {
    let scene = Scene::begin("together-ignored").await;
    let yaml = held("db", "db:1", "supercargo.dev/fail-mode: Ignore") + &step("after", "smoke", "", "");
    scene.push("app", "1", &yaml);
    scene.create("app", quiet(json!({"timeout": "1h"})));
    pods_say(&scene, "app=db", &loops(4, "OOMKilled", 137)).await;
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(record(&ready, "smoke")["outcome"], "Succeeded");
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
}
