//! Steps: objects that run once for a revision, whatever deletes them and wherever the operator is
//! killed.

use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::audit::Mark;
use supercargo_testbed::proxy::{Moment, Seen};
use supercargo_testbed::{Bed, Profiles, Proxy, story};

use crate::scene::{Scene, annotated, config_map, message, text};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("what a step does does not depend on rights");

/// A Job of one pod that is a step. `annotations` follow the phase, `more` goes into its spec, in
/// YAML's block style.
pub fn step(phase: &str, name: &str, annotations: &str, more: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, annotations: {{supercargo.dev/step: \
         {phase}{annotations}}}}}\nspec:\n{more}  backoffLimit: 0\n  template:\n    metadata: {{labels: {{job: \
         {name}}}}}\n    spec: {{restartPolicy: Never, containers: [{{name: main, image: main}}]}}\n---\n"
    )
}

/// The same Job, whose pod runs until it is let go.
pub fn stuck(job: &str) -> String {
    job.replace("labels: {job:", "labels: {testbed.supercargo.dev/pod: pending, job:")
}

/// The same Job, which fails after a second.
pub fn failing(job: &str) -> String {
    stuck(job).replace("  backoffLimit: 0\n", "  backoffLimit: 0\n  activeDeadlineSeconds: 1\n")
}

/// Lets the pods of a Job run to their end.
pub async fn let_go(scene: &Scene<'_>, name: &str) {
    let selector = format!("job={name}");
    let there = async || {
        let pods = scene.story.kubectl(&["get", "pods", "-l", &selector, "-o", "name"], "");
        (!pods.is_empty()).then_some(())
    };
    scene.story.wait_for(&format!("the pod of {name} exists"), there).await;
    scene.story.kubectl(&["label", "pods", "-l", &selector, "testbed.supercargo.dev/pod-"], "");
}

/// How often a Job of that name was created since then, by the operator.
pub fn created(scene: &Scene<'_>, mark: Mark, name: &str) -> usize {
    let writes = scene.writes(mark);
    writes.iter().filter(|r| r.resource == "jobs" && r.name == name && r.code == 201).count()
}

pub fn record(release: &Value, name: &str) -> Value {
    let step = |record: &&Value| text(record, "/step").ends_with(&format!("/{name}"));
    let mut records = release["status"]["steps"].as_array().into_iter().flatten();
    records.rfind(step).cloned().unwrap_or_default()
}

pub async fn wait_outcome(scene: &Scene<'_>, release: &str, name: &str, outcome: &str) -> Value {
    let has = async || {
        let release = scene.story.release(release).await?;
        let record = record(&release, name);
        (record["outcome"] == outcome).then_some(record)
    };
    scene.story.wait_for(&format!("the outcome of {name} is {outcome}"), has).await
}

pub async fn wait_running(scene: &Scene<'_>, name: &str) {
    let runs = async || {
        let job = scene.story.object("batch/v1", "jobs", name).await?;
        job["status"]["startTime"].is_string().then_some(())
    };
    scene.story.wait_for(&format!("{name} runs"), runs).await;
}

#[story]
async fn steps_run_before_and_after_the_rest_and_once_for_a_revision() {
    let mut scene = Scene::builder("steps-order").await.argument("--concurrency=1").start();
    let of = |value: &str| {
        stuck(&step("before", "migrate", "", ""))
            + &config_map("a", value)
            + &step("after", "smoke", "", "  ttlSecondsAfterFinished: 0\n")
    };
    let mark = scene.mark();
    scene.push("app", "1", &of("one"));
    let ignored = json!([{"apiVersion": "batch/v1", "ignore": true}]);
    scene.create("app", json!({"interval": "1h", "retryInterval": "1h", "healthCheckExprs": ignored}));
    let started = wait_outcome(&scene, "app", "migrate", "Started").await;
    assert_eq!((&started["phase"], &started["attempt"]), (&json!("before"), &json!(1)));
    wait_running(&scene, "migrate").await;
    scene
        .wait_message("app", "Unknown", "Waiting for steps before the other objects are written: Job/")
        .await;
    assert_eq!(scene.config_map("a").await, None, "nothing else is written");
    assert_eq!(scene.named("app").await, ["migrate"]);
    // It holds no worker.
    scene.install("other", &config_map("other", "one"), json!({})).await;
    let_go(&scene, "migrate").await;
    let ready = scene.story.wait_ready("app", "1@").await;
    for name in ["migrate", "smoke"] {
        let record = record(&ready, name);
        assert_eq!(record["outcome"], "Succeeded", "{ready:#}");
        assert!(text(&record, "/revision").starts_with("1@"), "{record}");
    }
    scene.wait_event("app", "StepStarted", &["Job/", "/migrate"]).await;
    scene.wait_event("app", "StepSucceeded", &["Job/", "/smoke"]).await;
    scene.story.wait_gone("batch/v1", "jobs", "smoke").await;

    // An unchanged revision runs nothing, whatever becomes of the objects.
    scene.reconcile("app", "again").await;
    scene.story.kubectl(&["delete", "job", "migrate"], "");
    scene.replace_operator(async |_| {}).await;
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    scene.reconcile("app", "once more").await;
    // Neither does another spec with the same objects, or another tag of them.
    scene.change("app", json!({"timeout": "4m"}));
    scene.upgraded("app", "1a", &of("one")).await;
    for name in ["migrate", "smoke"] {
        assert_eq!(created(&scene, mark, name), 1, "{name}");
    }
    assert_eq!(scene.operator.metric(r#"supercargo_steps_total{outcome="started"}"#), Some(0.0));

    // Another revision runs them again.
    scene.upgrade("app", "2", &of("two"));
    wait_running(&scene, "migrate").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    // Drift of the applied revision is corrected meanwhile.
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    let_go(&scene, "migrate").await;
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
    for name in ["migrate", "smoke"] {
        assert_eq!(created(&scene, mark, name), 2, "{name}");
    }
    // A step that leaves the revision is deleted like any other object.
    scene.upgraded("app", "3", &config_map("a", "three")).await;
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
    assert_eq!(scene.named("app").await, ["a"]);
    let release = scene.story.release("app").await.expect("it exists");
    assert_eq!(release["status"].get("steps"), None, "{release:#}");
}

#[story]
async fn steps_have_waves_and_the_rest_has_its_own_order() {
    let scene = Scene::begin("steps-waves").await;
    let depends = |step: &str| {
        format!("{{config.kubernetes.io/depends-on: batch/namespaces/{}/Job/{step}}}", scene.namespace())
    };
    let in_wave = |phase: &str, name: &str, wave: i32| {
        step(phase, name, &format!(", supercargo.dev/wave: '{wave}'"), "")
    };
    let yaml = [
        in_wave("before", "b-first", -1),
        in_wave("before", "a-second", 1),
        annotated("first", "{supercargo.dev/wave: '-7'}"),
        annotated("second", &depends("a-second")),
        in_wave("after", "d-third", -5),
        in_wave("after", "c-fourth", 0),
    ];
    scene.push("app", "1", &yaml.concat());
    let mark = scene.mark();
    scene.create("app", json!({}));
    scene.story.wait_ready("app", "1@").await;
    let writes = scene.writes(mark);
    let created = writes.iter().filter(|r| r.code == 201 && ["jobs", "configmaps"].contains(&&*r.resource));
    let ours = ["b-first", "a-second", "first", "second", "d-third", "c-fourth"];
    let created: Vec<&str> = created.map(|r| r.name.as_str()).filter(|name| ours.contains(name)).collect();
    assert_eq!(created, ours);

    // What waits for a step of the end would wait for itself.
    let yaml = [step("after", "smoke", "", ""), annotated("early", &depends("smoke"))];
    scene.upgrade("app", "2", &yaml.concat());
    scene.story.wait_condition("app", "Stalled", "True", "ManifestInvalid").await;
    let says = [
        "nothing applied, impossible order of 1 object; ConfigMap/",
        "/smoke, a step that runs after all other objects",
    ];
    scene.wait_says("app", "Ready", &says).await;
}

#[story]
async fn a_failed_step_stops_its_revision_until_a_person_decides() {
    let scene = Scene::begin("steps-failed").await;
    scene.install("app", &config_map("a", "one"), json!({})).await;
    let bad = failing(&step("before", "migrate", "", "")) + &config_map("a", "two") + &config_map("b", "two");
    let mark = scene.mark();
    let digest = scene.push("app", "2", &bad);
    scene.change("app", json!({"ref": {"tag": "2"}}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    let said = message(&failed, "Ready");
    for part in
        ["nothing else applied, step failed for 1 object; Job/", "DeadlineExceeded", "supercargo reconcile"]
    {
        assert!(said.contains(part), "{said}");
    }
    scene.story.wait_condition("app", "Stalled", "True", "StepFailed").await;
    assert_eq!(record(&failed, "migrate")["outcome"], "Failed");
    assert_eq!((scene.data("a").await.as_deref(), scene.config_map("b").await), (Some("one"), None));
    // The applied revision is still corrected.
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    assert_eq!(created(&scene, mark, "migrate"), 1);
    // A person asks: it runs once more, and no more.
    scene.reconcile("app", "again").await;
    let record = wait_outcome(&scene, "app", "migrate", "Failed").await;
    assert_eq!(record["attempt"], 2);
    scene.change("app", json!({"timeout": "4m"}));
    scene.wait_observed("app").await;
    assert_eq!(created(&scene, mark, "migrate"), 2);
    // Going back deletes what is left of it, and runs nothing.
    scene.change("app", json!({"ref": {"tag": "1"}}));
    scene.story.wait_ready("app", "1@").await;
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
    scene.wait_named("app", &["a"]).await;
    // Or a person says that it counts as done.
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    scene.annotate("app", "supercargo.dev/steps-done", &digest);
    let ready = scene.story.wait_ready("app", "2@").await;
    assert_eq!(self::record(&ready, "migrate")["outcome"], "Skipped");
    assert_eq!(created(&scene, mark, "migrate"), 3);
}

#[story]
async fn another_revision_follows_a_failed_step_and_waits_for_one_that_runs() {
    let scene = Scene::begin("steps-next").await;
    let mark = scene.mark();
    scene.push("app", "1", &failing(&step("before", "migrate", "", "")));
    scene.create("app", json!({}));
    scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    // It takes the place of the failed one.
    scene.upgrade("app", "2", &(stuck(&step("before", "migrate", "", "")) + &config_map("a", "two")));
    wait_outcome(&scene, "app", "migrate", "Started").await;
    wait_running(&scene, "migrate").await;
    // The next one waits for its end, and then deletes it.
    scene.upgrade("app", "3", &config_map("a", "three"));
    scene.wait_message("app", "Unknown", "Waiting for steps of an earlier revision: Job/").await;
    assert_eq!(scene.config_map("a").await, None);
    let_go(&scene, "migrate").await;
    scene.story.wait_ready("app", "3@").await;
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
    assert_eq!(created(&scene, mark, "migrate"), 2);
}

#[story]
async fn a_job_that_was_a_step_when_its_revision_was_replaced_is_run_anew_as_a_job() {
    let scene = Scene::begin("steps-plain").await;
    let mark = scene.mark();
    scene.push("app", "1", &(config_map("a", "one") + &stuck(&step("after", "smoke", "", ""))));
    scene.create("app", json!({}));
    wait_outcome(&scene, "app", "smoke", "Started").await;
    wait_running(&scene, "smoke").await;
    // Its uid is in the record alone, and the template of its successor is another one.
    let plain = step("after", "smoke", "", "")
        .replace("supercargo.dev/step: after", "")
        .replace("image: main", "image: other");
    scene.upgrade("app", "2", &(config_map("a", "two") + &plain));
    scene.story.wait_condition("app", "Ready", "False", "JobRunning").await;
    let_go(&scene, "smoke").await;
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(created(&scene, mark, "smoke"), 2);
    let release = scene.story.release("app").await.expect("it exists");
    assert_eq!(release["status"].get("steps"), None, "{release:#}");
}

#[story]
async fn a_failed_step_after_the_rest_keeps_what_left_the_revision() {
    let scene = Scene::begin("steps-after").await;
    scene.install("app", &(config_map("a", "one") + &config_map("old", "one")), json!({})).await;
    let with = |job: String| config_map("a", "two") + &job;
    scene.upgrade("app", "2", &with(failing(&step("after", "smoke", "", ""))));
    let failed = scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.starts_with("applied, step failed for 1 object; Job/"), "{said}");
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
    assert!(scene.config_map("old").await.is_some(), "nothing is deleted for it");
    scene.upgraded("app", "3", &with(step("after", "smoke", "", ""))).await;
    assert_eq!(scene.config_map("old").await, None);
}

#[story]
async fn retries_timeouts_and_cleanup_are_those_of_the_annotations() {
    let scene = Scene::begin("steps-policy").await;
    let mark = scene.mark();
    let retried = failing(&step("before", "retried", ", supercargo.dev/step-retries: \"1\"", ""));
    let cleaned = step("before", "cleaned", ", supercargo.dev/step-cleanup: OnSuccess", "");
    let late = stuck(&step("before", "late", ", supercargo.dev/step-timeout: 2s", ""));
    let always = failing(&step("before", "always", ", supercargo.dev/step-cleanup: Always", ""));
    scene.push("app", "1", &(retried + &cleaned + &late + &always));
    scene.create("app", json!({"retryInterval": "1h"}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    let outcomes: Vec<_> = ["retried", "cleaned", "late", "always"]
        .map(|name| {
            let record = record(&failed, name);
            (text(&record, "/outcome"), record["attempt"].as_i64().unwrap_or_default())
        })
        .into();
    let expected = [("Failed", 2), ("Succeeded", 1), ("TimedOut", 1), ("Failed", 1)];
    assert_eq!(outcomes, expected.map(|(outcome, attempt)| (outcome.to_owned(), attempt)), "{failed:#}");
    assert!(message(&failed, "Ready").contains("not done within 2s"), "{failed:#}");
    for name in ["cleaned", "late", "always"] {
        scene.story.wait_gone("batch/v1", "jobs", name).await;
    }
    assert!(scene.story.object("batch/v1", "jobs", "retried").await.is_some());
    assert_eq!((created(&scene, mark, "retried"), created(&scene, mark, "late")), (2, 1));
}

#[story]
async fn a_step_that_somebody_deletes_is_not_run_again_by_itself() {
    let scene = Scene::begin("steps-deleted").await;
    let mark = scene.mark();
    scene.push("app", "1", &(stuck(&step("before", "migrate", "", "")) + &config_map("a", "one")));
    scene.create("app", json!({}));
    wait_outcome(&scene, "app", "migrate", "Started").await;
    wait_running(&scene, "migrate").await;
    scene.story.kubectl(&["delete", "job", "migrate"], "");
    let failed = scene.story.wait_condition("app", "Ready", "False", "StepFailed").await;
    let said = message(&failed, "Ready");
    for part in [
        "it was deleted before its outcome was recorded, it may have run",
        "supercargo.dev/steps-done=sha256:",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!((created(&scene, mark, "migrate"), scene.config_map("a").await), (1, None));
    // The release goes while a step runs, and nothing hangs.
    scene.ask("app", "again");
    wait_running(&scene, "migrate").await;
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
}

#[story]
async fn what_has_ended_while_the_operator_was_away_counts_and_a_lost_status_runs_nothing() {
    let mut scene = Scene::begin("steps-away").await;
    let mark = scene.mark();
    let ttl = "  ttlSecondsAfterFinished: 0\n";
    let of = |name: &str| stuck(&step("before", name, "", ttl)) + &config_map("a", "one");
    scene.push("app", "1", &of("migrate"));
    scene.create("app", json!({}));
    wait_outcome(&scene, "app", "migrate", "Started").await;
    wait_running(&scene, "migrate").await;
    scene
        .replace_operator(async |story| {
            let selector = "job=migrate";
            let exists = async || {
                let pods = story.kubectl(&["get", "pods", "-l", selector, "-o", "name"], "");
                (!pods.is_empty()).then_some(())
            };
            story.wait_for("its pod exists", exists).await;
            story.kubectl(&["label", "pods", "-l", selector, "testbed.supercargo.dev/pod-"], "");
            let done = async || {
                let job = story.object("batch/v1", "jobs", "migrate").await?;
                job["status"]["completionTime"].is_string().then_some(())
            };
            story.wait_for("it has completed, and is not deleted by its TTL", done).await;
            // The status is lost too, as after a restore.
            story.kubectl(
                &[
                    "patch",
                    "oar",
                    "app",
                    "--subresource=status",
                    "--type=json",
                    "-p",
                    r#"[{"op": "remove", "path": "/status"}]"#,
                ],
                "",
            );
        })
        .await;
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(record(&ready, "migrate")["outcome"], "Succeeded", "{ready:#}");
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;
    assert_eq!(created(&scene, mark, "migrate"), 1);
}

#[story]
async fn bad_steps_are_refused_before_anything_is_written() {
    let scene = Scene::begin("steps-bad").await;
    let cases = [
        (step("during", "a", "", ""), "supercargo.dev/step: \"during\"; use before or after"),
        (
            step("before", "a", ", supercargo.dev/step-timeout: soon", ""),
            "supercargo.dev/step-timeout: \"soon\"; use a duration of at most 24h",
        ),
        (
            config_map("a", "one").replace("name: a", "name: a, annotations: {supercargo.dev/step: before}"),
            "a ConfigMap cannot be a step, because it does not run to an end",
        ),
    ];
    for (number, (yaml, says)) in cases.into_iter().enumerate() {
        let release = format!("bad-{number}");
        scene.push(&release, "1", &(yaml + &config_map(&format!("b-{number}"), "one")));
        scene.create(&release, json!({}));
        scene.story.wait_condition(&release, "Ready", "False", "ManifestInvalid").await;
        scene.wait_says(&release, "Ready", &["nothing applied, invalid 1 object; ", says]).await;
        assert_eq!(scene.config_map(&format!("b-{number}")).await, None);
    }
    // An object of that name that is not ours is neither run nor deleted.
    let job = step("before", "taken", "", "")
        .replace("annotations: {supercargo.dev/step: before}", "annotations: {}");
    scene.story.kubectl(&["apply", "-f", "-"], &stuck(&job));
    scene.push("taken", "1", &step("before", "taken", "", ""));
    scene.create("taken", json!({}));
    scene
        .wait_says("taken", "Ready", &["an object of that name exists and does not belong to the release"])
        .await;
}

/// Writes of a run; leases and events come when they come.
fn counts(seen: &Seen) -> bool {
    seen.writes() && !seen.path.contains("/leases") && !seen.path.contains("/events")
}

#[story]
async fn killed_at_each_write_no_step_runs_twice() {
    let proxy = Proxy::before_api_server(Bed::shared());
    let mut scene = Scene::builder("steps-killed").await.start_with(|options| options.through(&proxy));
    let of = |name: &str| {
        step("before", &format!("m-{name}"), "", "  ttlSecondsAfterFinished: 0\n")
            + &config_map(&format!("c-{name}"), "one")
            + &step("after", &format!("s-{name}"), "", "")
    };
    let mark = scene.mark();
    let mut all = Vec::new();
    'moments: for moment in [Moment::Before, Moment::After] {
        for nth in 1..=40 {
            let name = format!("{moment:?}-{nth}").to_lowercase();
            scene.push(&name, "1", &of(&name));
            proxy.hold_from(nth, moment, counts);
            scene.create(&name, json!({"interval": "1h", "retryInterval": "1s"}));
            let held = proxy.wait_held(Duration::from_secs(4), moment);
            if held.is_none() {
                proxy.pass_all();
            }
            scene.operator.kill();
            proxy.discard();
            proxy.pass_all();
            scene.restart();
            scene.story.wait_ready(&name, "1@").await;
            all.push(name);
            if held.is_none() {
                continue 'moments;
            }
        }
    }
    assert!(all.len() > 20, "{all:?}");
    for name in &all {
        for job in [format!("m-{name}"), format!("s-{name}")] {
            assert_eq!(created(&scene, mark, &job), 1, "{job}");
        }
        let release = scene.story.release(name).await.expect("it exists");
        for job in [format!("m-{name}"), format!("s-{name}")] {
            assert_eq!(record(&release, &job)["outcome"], "Succeeded", "{release:#}");
        }
    }
}

/// The key of a revision depends on the account, which a person does not use.
#[story]
async fn a_diff_of_a_release_with_an_account_shows_no_step_that_has_run() {
    let scene = Scene::begin("steps-diff").await;
    let namespace = scene.namespace().to_owned();
    scene.story.kubectl(&["create", "serviceaccount", "author"], "");
    let account = format!("--serviceaccount={namespace}:author");
    scene.story.kubectl(&["create", "rolebinding", "author", "--clusterrole=admin", &account], "");
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
    let yaml =
        config_map("a", "one") + secret + &step("before", "first", "", "") + &step("after", "last", "", "");
    scene.install("app", &yaml, json!({"serviceAccountName": "author"})).await;
    let person = Shell::admin(&scene.story);
    let said = person.run(&["diff", "release", "app"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""), "{said:?}");
    // With the person's own rights, which the account's are not.
    scene.change("app", json!({"suspend": true}));
    scene.wait_reason("app", "Drifted", "Unknown", "Suspended").await;
    let mark = scene.story.bed().audit().mark();
    scene.patch("v1", "configmaps", "a", json!({"data": {"key": "by hand"}}));
    let reader = "[{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get]}, \
        {apiGroups: [''], resources: [configmaps, secrets, namespaces], verbs: [get]}]";
    let said = Shell::with_rights(&scene.story, "steps-reader", reader).run(&["diff", "release", "app"]);
    assert!(said.code == 2 && said.err.contains("cannot"), "{said:?}");
    let user = format!("system:serviceaccount:{namespace}:author");
    let dry =
        scene.story.bed().audit().since(mark, &user).iter().any(|request| request.uri.contains("dryRun=All"));
    assert!(!dry, "nothing is asked as the account");
}
