//! Jobs and pods that run to their end: once for each content, whatever deletes
//! them afterwards.

use serde_json::json;
use supercargo_testbed::audit::Mark;
use supercargo_testbed::{Profiles, Story, story};

use crate::scene::{Scene, config_map, message, text};

const PROFILES: Profiles = Profiles::First("how a Job ends does not depend on rights");

/// A Job of one pod. `more` goes into its spec, in YAML's block style.
fn job(name: &str, image: &str, annotations: &str, more: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\nspec:\n{more}  \
         template:\n    metadata: {{labels: {{job: {name}}}}}\n    spec: {{restartPolicy: Never, containers: [{{name: main, \
         image: \"{image}\"}}]}}\n---\n"
    )
}

/// One whose pod never starts.
fn stuck(name: &str, image: &str, annotations: &str) -> String {
    job(name, image, annotations, "")
        .replace("labels: {job:", "labels: {testbed.supercargo.dev/pod: pending, job:")
}

/// How often the operator has made a Job since then.
fn runs(scene: &Scene<'_>, mark: Mark, name: &str) -> usize {
    let writes = scene.writes(mark);
    writes.iter().filter(|r| r.resource == "jobs" && r.name == name && r.code == 201).count()
}

async fn wait_done(scene: &Scene<'_>, release: &str, name: &str, done: bool) {
    let remembered = async || {
        let entries = scene.inventory(release).await;
        let entry = entries.iter().find(|e| text(e, "/id").contains(&format!("_{name}_")))?;
        (entry.get("done").is_some_and(|d| *d == true) == done).then_some(())
    };
    scene.story.wait_for(&format!("{name} is remembered as done: {done}"), remembered).await;
}

async fn uid_of(story: &Story<'_>, name: &str) -> Option<String> {
    story.object("batch/v1", "jobs", name).await.map(|job| text(&job, "/metadata/uid"))
}

/// Shows that the operator has seen all that happened until now.
async fn fence(scene: &Scene<'_>) {
    scene.edit("fence", "edited");
    let back = async || (scene.config_map("fence").await?["data"]["key"] == "one").then_some(());
    scene.story.wait_for("drift is put back", back).await;
}

#[story]
async fn a_job_that_is_done_and_gone_runs_once_for_each_content() {
    let mut scene = Scene::begin("jobs-done").await;
    let once = "supercargo.dev/apply: IfNotPresent";
    let all = |image: &str| {
        [
            job("at-once", image, "", "  ttlSecondsAfterFinished: 0\n"),
            job("soon", image, "", "  ttlSecondsAfterFinished: 1\n"),
            job("absent", image, once, "  ttlSecondsAfterFinished: 0\n"),
            config_map("fence", "one"),
        ]
        .concat()
    };
    let names = ["at-once", "soon", "absent"];
    let mark = scene.mark();
    scene.install("app", &all("one"), json!({"wait": true})).await;
    for name in names {
        scene.story.wait_gone("batch/v1", "jobs", name).await;
        wait_done(&scene, "app", name, true).await;
    }
    fence(&scene).await;
    let again = scene.reconcile("app", "again").await;
    assert!(message(&again, "Drifted").starts_with("No drift"), "{again:#}");
    scene.replace_operator(async |_| {}).await;
    fence(&scene).await;
    for name in names {
        assert_eq!((runs(&scene, mark, name), uid_of(&scene.story, name).await), (1, None), "{name}");
    }
    // Another content is another run.
    scene.upgraded("app", "2", &all("two")).await;
    for name in names {
        scene.story.wait_gone("batch/v1", "jobs", name).await;
        wait_done(&scene, "app", name, true).await;
    }
    fence(&scene).await;
    for name in names {
        assert_eq!(runs(&scene, mark, name), 2, "{name}");
    }
    // Gone, it can leave like any other.
    scene.upgraded("app", "3", &config_map("fence", "one")).await;
    assert_eq!(scene.named("app").await, ["fence"]);
}

#[story]
async fn a_job_that_ends_long_after_ready_is_remembered_without_asking_for_it() {
    let scene = Scene::begin("jobs-late").await;
    let yaml = stuck("late", "one", "") + &config_map("fence", "one");
    scene.install("app", &yaml, json!({})).await;
    wait_done(&scene, "app", "late", false).await;
    // Deleted before it has ended, it is made again.
    let first = uid_of(&scene.story, "late").await;
    scene.story.kubectl(&["delete", "job", "late"], "");
    let anew = async || uid_of(&scene.story, "late").await.filter(|uid| Some(uid) != first.as_ref());
    scene.story.wait_for("the Job is made again", anew).await;
    let mark = scene.mark();
    let labelled = async || {
        let pods = scene.story.kubectl(&["get", "pods", "-l", "job=late", "-o", "name"], "");
        (!pods.is_empty()).then_some(())
    };
    scene.story.wait_for("its pod exists", labelled).await;
    scene.story.kubectl(&["label", "pods", "-l", "job=late", "testbed.supercargo.dev/pod-"], "");
    wait_done(&scene, "app", "late", true).await;
    let requests = scene.story.bed().audit().since(mark, &scene.story.operator_account().user());
    let asked = requests.iter().filter(|r| r.resource == "jobs" && r.verb == "get").count();
    assert_eq!(asked, 0, "{requests:#?}");
    scene.story.kubectl(&["delete", "job", "late"], "");
    fence(&scene).await;
    assert_eq!(uid_of(&scene.story, "late").await, None);
}

#[story]
async fn a_job_that_is_done_and_loses_its_labels_is_not_taken_for_gone() {
    let scene = Scene::begin("jobs-unlabelled").await;
    scene.install("app", &(job("done", "one", "", "") + &config_map("fence", "one")), json!({})).await;
    wait_done(&scene, "app", "done", true).await;
    let uid = uid_of(&scene.story, "done").await;
    scene.story.kubectl(&["label", "job", "done", "supercargo.dev/name-", "supercargo.dev/namespace-"], "");
    let labelled = async || {
        let job = scene.story.object("batch/v1", "jobs", "done").await?;
        (text(&job, "/metadata/labels/supercargo.dev~1name") == "app").then_some(())
    };
    scene.story.wait_for("it has its labels again", labelled).await;
    assert_eq!(uid_of(&scene.story, "done").await, uid);

    // Gone, it is asked for once, and by no run after that.
    scene.story.kubectl(&["delete", "job", "done"], "");
    fence(&scene).await;
    scene.reconcile("app", "1").await;
    let mark = scene.mark();
    scene.reconcile("app", "2").await;
    let requests = scene.story.bed().audit().since(mark, &scene.story.operator_account().user());
    let asked: Vec<_> = requests.iter().filter(|r| r.resource == "jobs").collect();
    assert!(asked.is_empty(), "{asked:#?}");
    assert_eq!(uid_of(&scene.story, "done").await, None);
}

#[story]
async fn a_pod_that_has_succeeded_and_is_gone_is_not_made_again() {
    let scene = Scene::begin("jobs-pod").await;
    let pod = |name: &str, policy: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{restartPolicy: {policy}, containers: [{{name: \
             main, image: main}}]}}\n---\n"
        )
    };
    let yaml = pod("once", "Never") + &pod("always", "Always") + &config_map("fence", "one");
    scene.install("app", &yaml, json!({})).await;
    let running = async |name: &str| {
        let phase = async || {
            let pod = scene.story.object("v1", "pods", name).await?;
            (pod["status"]["phase"] == "Running").then_some(())
        };
        scene.story.wait_for(&format!("{name} runs"), phase).await;
    };
    running("once").await;
    running("always").await;
    scene.story.kubectl(
        &[
            "patch",
            "pod",
            "once",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"phase":"Succeeded"}}"#,
        ],
        "",
    );
    wait_done(&scene, "app", "once", true).await;
    scene.story.kubectl(&["delete", "pod", "once", "--wait=false"], "");
    scene.story.wait_gone("v1", "pods", "once").await;
    let before = scene.story.object("v1", "pods", "always").await.map(|pod| text(&pod, "/metadata/uid"));
    scene.story.kubectl(&["delete", "pod", "always", "--wait=false"], "");
    let anew = async || {
        let pod = scene.story.object("v1", "pods", "always").await?;
        (Some(text(&pod, "/metadata/uid")) != before).then_some(())
    };
    scene.story.wait_for("the other is made again", anew).await;
    fence(&scene).await;
    assert_eq!(scene.story.object("v1", "pods", "once").await, None);
}

#[story]
async fn a_finished_job_is_made_anew_for_another_template_and_nobody_has_to_ask() {
    let scene = Scene::begin("jobs-template").await;
    let of =
        |image: &str, annotations: &str| job("hook", image, annotations, "") + &config_map("fence", "one");
    scene.install("app", &of("one", ""), json!({"wait": true})).await;
    let first = uid_of(&scene.story, "hook").await.expect("the Job exists");
    let ready = scene.upgraded("app", "2", &of("two", "")).await;
    assert_eq!(ready["status"]["changes"]["configured"], 1, "{}", ready["status"]);
    let second = uid_of(&scene.story, "hook").await.expect("the Job exists");
    assert_ne!(first, second);

    // It may opt out, and then it is told.
    let firm = "supercargo.dev/force: disabled";
    scene.upgrade("app", "3", &of("three", firm));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    assert!(
        message(&refused, "Ready").contains("supercargo.dev/force: disabled on the object"),
        "{refused:#}"
    );
    scene.change("app", json!({"force": true}));
    scene.reconcile("app", "forced").await;
    assert_eq!(uid_of(&scene.story, "hook").await, Some(second.clone()));
    // A Job that somebody has taken the labels of is not ours to delete.
    scene.change("app", json!({"force": false, "suspend": true}));
    scene.story.kubectl(&["label", "job", "hook", "supercargo.dev/name-", "supercargo.dev/namespace-"], "");
    scene.upgrade("app", "4", &of("four", ""));
    scene.change("app", json!({"suspend": false}));
    let said = async || {
        let release = scene.story.release("app").await?;
        message(&release, "Ready").contains("(to recreate it, use ").then_some(())
    };
    scene.story.wait_for("the refusal is told", said).await;
    assert_eq!(uid_of(&scene.story, "hook").await, Some(second));
}

#[story]
async fn a_running_job_is_waited_for_by_its_watch_and_holds_no_worker() {
    let scene = Scene::builder("jobs-running").await.argument("--concurrency=1").start();
    let of = |image: &str| stuck("hook", image, "") + &config_map("fence", "one");
    let spec = json!({"retryInterval": "1h"});
    scene.install("app", &of("one"), spec).await;
    let first = uid_of(&scene.story, "hook").await.expect("the Job exists");
    scene.upgrade("app", "2", &of("two").replace("testbed.supercargo.dev/pod: pending, ", ""));
    let waits = scene.story.wait_condition("app", "Ready", "False", "JobRunning").await;
    let said = message(&waits, "Ready");
    for part in [&format!("Job/{}/hook: ", scene.namespace()), "it has not finished yet", "spec.force"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(
        waits["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().all(|c| c["type"] != "Stalled"))
    );
    scene.install("other", &config_map("other", "one"), json!({})).await;
    assert_eq!(uid_of(&scene.story, "hook").await, Some(first.clone()));
    // It ends, and the release goes on by itself: the next retry is an hour away.
    scene.story.kubectl(&["label", "pods", "-l", "job=hook", "testbed.supercargo.dev/pod-"], "");
    scene.story.wait_ready("app", "2@").await;
    assert_ne!(uid_of(&scene.story, "hook").await, Some(first));

    // With force nobody waits.
    scene.upgraded("app", "3", &of("three")).await;
    let third = uid_of(&scene.story, "hook").await;
    scene.change("app", json!({"force": true}));
    scene.upgraded("app", "4", &of("four")).await;
    assert_ne!(uid_of(&scene.story, "hook").await, third);
}
