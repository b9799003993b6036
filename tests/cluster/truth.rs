//! Statuses say what is true now: of health, of a suspended release, of a rollout that
//! fails, of a registry that is away; and they are written when something is new.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::audit::Mark;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profile, Profiles, Proxy, Story, story};

use crate::person::Person;
use crate::scene::{CONFIG_MAPS, Scene, account, config_map, deployment, registry, role};

const PROFILES: Profiles = Profiles::First("what a status says does not depend on rights");

const READY: &str = "supercargo_reconciles_total{outcome=\"success\",reason=\"ReconciliationSucceeded\"}";

/// A pod that is ready in a moment, or only once a label of it is gone.
/// A pod; one that is held is not started.
pub fn pod(name: &str, held: bool) -> String {
    let labels = if held { "{testbed.supercargo.dev/pod: held}" } else { "{}" };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {labels}}}\n\
         spec: {{containers: [{{name: web, image: \"web:1\"}}]}}\n"
    )
}

/// Starts a pod that is held.
pub fn let_go(scene: &Scene<'_>, pod: &str) {
    scene.story.kubectl(&["label", "pod", pod, "testbed.supercargo.dev/pod-"], "");
}

/// Has a pod say that it is ready, or is not, as a kubelet would.
fn set_ready(scene: &Scene<'_>, pod: &str, ready: bool) {
    let status = if ready { "True" } else { "False" };
    let patch = json!({"status": {"conditions": [{"type": "Ready", "status": status}]}}).to_string();
    scene.story.kubectl(&["patch", "pod", pod, "--subresource=status", "-p", &patch], "");
}

/// The writes of the release's status, and of events.
fn tellings(scene: &Scene<'_>, mark: Mark) -> Vec<String> {
    let requests = scene.requests(mark);
    let told = requests
        .iter()
        .filter(|r| r.writes() && ["ociartifactreleases", "events"].contains(&r.resource.as_str()));
    told.map(|r| r.summary()).collect()
}

async fn ready_and_healthy(scene: &Scene<'_>) -> Option<(String, String)> {
    let release = scene.story.release("app").await?;
    Some((condition(&release, "Ready")?.status, condition(&release, "Healthy")?.status))
}

async fn wait_told(scene: &Scene<'_>, status: &str) -> Duration {
    let start = Instant::now();
    let both = (status.to_owned(), status.to_owned());
    scene
        .story
        .wait_for(&format!("Ready and Healthy are {status}"), async || {
            (ready_and_healthy(scene).await? == both).then_some(())
        })
        .await;
    start.elapsed()
}

#[story]
async fn a_wait_for_health_waits_again_for_what_turns_unhealthy_meanwhile() {
    let scene = Scene::begin("truth-together").await;
    scene.push("app", "1", &(pod("first", false) + &pod("second", true)));
    scene.create("app", json!({"wait": true, "timeout": "15s", "retryInterval": "1h"}));
    let phase = json!("Running");
    scene.wait_field("v1", "pods", "first", "/status/phase", &phase).await;
    set_ready(&scene, "first", false);
    let_go(&scene, "second");
    scene.wait_field("v1", "pods", "second", "/status/phase", &phase).await;
    // All were healthy, but never together.
    let message = scene.wait_reason("app", "Ready", "False", "HealthTimeout").await;
    assert!(message.contains("/first: is not ready yet") && !message.contains("/second"), "{message}");
    set_ready(&scene, "first", true);
    let release = scene.story.wait_ready("app", "1@").await;
    assert_eq!(release["status"]["history"][0]["outcome"], "Healthy");
    assert_eq!(release["status"]["history"][0]["changes"]["created"], 2);
}

#[story]
async fn what_turns_unhealthy_after_ready_shows_in_two_seconds_and_turns_back_by_itself() {
    let mut scene = Scene::begin("truth-now").await;
    scene
        .install(
            "app",
            &(pod("web", false) + &config_map("a", "one")),
            json!({"wait": true, "interval": "1h"}),
        )
        .await;
    assert_eq!(scene.wait_reason("app", "Healthy", "True", "Healthy").await, "All objects are healthy");
    let mark = scene.mark();
    set_ready(&scene, "web", false);
    let took = wait_told(&scene, "False").await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let message = scene.wait_reason("app", "Ready", "False", "Unhealthy").await;
    let expected = format!("1 object is unhealthy; Pod/{}/web: is not ready yet", scene.namespace());
    assert_eq!(message, expected);
    let release = scene.story.release("app").await.expect("it is there");
    assert_eq!(release["status"]["failures"][0]["reason"], "Unhealthy");
    set_ready(&scene, "web", true);
    wait_told(&scene, "True").await;
    let release = scene.story.wait_ready("app", "1@").await;
    assert_eq!(release["status"].get("failures"), None);
    // It was read, and nothing else was asked or run.
    let reads = scene.requests(mark);
    let reads: Vec<_> = reads.iter().filter(|r| r.verb == "get" && r.resource == "pods").collect();
    assert!((2..=6).contains(&reads.len()), "{reads:?}");
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());

    // What has changed while nobody looked is found by the next operator.
    scene.operator.kill();
    set_ready(&scene, "web", false);
    scene.restart();
    wait_told(&scene, "False").await;
    set_ready(&scene, "web", true);
    wait_told(&scene, "True").await;
}

#[story]
async fn an_unhealthy_object_that_changes_all_the_time_makes_neither_runs_nor_writes() {
    let scene = Scene::begin("truth-busy").await;
    scene.push("app", "1", &pod("web", true));
    scene.create("app", json!({"wait": true, "timeout": "1s", "retryInterval": "1h"}));
    scene.wait_reason("app", "Ready", "False", "HealthTimeout").await;
    // Events follow the status.
    scene.wait_event("app", "HealthTimeout", &[]).await;
    let touch = |n: u32| {
        scene.story.kubectl(&["annotate", "--overwrite", "pod", "web", &format!("touched={n}")], "");
    };
    let runs =
        || scene.operator.metric("supercargo_reconciles_total{outcome=\"retry\",reason=\"HealthTimeout\"}");
    let (mark, before) = (scene.mark(), runs());
    let reads = || scene.requests(mark).iter().filter(|r| r.verb == "get" && r.resource == "pods").count();
    let mut touched = 0;
    scene
        .story
        .wait_for("it is read five times", async || {
            touched += 1;
            touch(touched);
            (reads() >= 5).then_some(())
        })
        .await;
    assert_eq!((runs(), tellings(&scene, mark)), (before, Vec::new()));
    // Once it is healthy, a run brings the rollout to its end.
    let_go(&scene, "web");
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn a_rollout_that_fails_stays_failed_while_the_same_revision_is_tried_again() {
    let scene = Scene::begin("truth-failing").await;
    scene.push("app", "1", &pod("web", true));
    scene.create("app", json!({"wait": true, "timeout": "1s", "retryInterval": "1s"}));
    let first = scene.wait_reason("app", "Ready", "False", "HealthTimeout").await;
    let history = scene.story.release("app").await.expect("it is there")["status"]["history"].clone();
    let failed = "supercargo_reconciles_total{outcome=\"retry\",reason=\"HealthTimeout\"}";
    let mut seen = Vec::new();
    scene
        .story
        .wait_for("three retries", async || {
            let ready = scene.condition("app", "Ready").await?;
            seen.push((ready.status, ready.reason, ready.message));
            seen.dedup();
            (scene.operator.metric(failed)? >= 4.0).then_some(())
        })
        .await;
    assert_eq!(seen, [("False".to_owned(), "HealthTimeout".to_owned(), first)]);
    assert_eq!(scene.story.release("app").await.expect("it is there")["status"]["history"], history);
}

#[story]
async fn an_edit_is_put_back_while_a_release_waits_for_health() {
    let scene = Scene::begin("truth-waits").await;
    scene.push("app", "1", &(pod("web", true) + &config_map("a", "one")));
    scene.create("app", json!({"wait": true, "timeout": "1h", "interval": "1h"}));
    scene.story.wait_condition("app", "Healthy", "Unknown", "Progressing").await;
    scene.wait_data("a", "one").await;
    scene.edit("a", "edited");
    scene.wait_data("a", "one").await;
    scene.story.kubectl(&["delete", "configmap", "a"], "");
    scene.wait_data("a", "one").await;
    let_go(&scene, "web");
    let release = scene.story.wait_ready("app", "1@").await;
    // The rollout is one, however often it was interrupted.
    assert_eq!(release["status"]["history"].as_array().map(Vec::len), Some(1), "{release}");
    assert_eq!(release["status"]["history"][0]["outcome"], "Healthy");
    let created = release["status"]["history"][0]["changes"]["created"].as_i64();
    assert!(created >= Some(2), "{release}");
}

#[story]
async fn an_edit_is_put_back_while_a_newer_revision_cannot_be_had_or_is_refused() {
    let scene = Scene::begin("truth-newer").await;
    scene.install("app", &config_map("a", "one"), json!({"retryInterval": "1h"})).await;
    let edit = async |value: &str| {
        scene.edit("a", value);
        scene.wait_data("a", "one").await;
    };
    scene.change("app", json!({"ref": {"tag": "none"}}));
    scene.wait_reason("app", "Ready", "False", "ArtifactNotFound").await;
    edit("while it is missing").await;
    scene.wait_reason("app", "Ready", "False", "ArtifactNotFound").await;
    scene.push("app", "2", &config_map("a", "two").replace("\ndata:", "\nunknownField: 1\ndata:"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_reason("app", "Ready", "False", "PreflightFailed").await;
    edit("while it is refused").await;
    let release = scene.story.release("app").await.expect("it is there");
    assert_eq!(condition(&release, "Ready").expect("Ready").reason, "PreflightFailed");
    let history = release["status"]["history"].as_array().map(Vec::len);
    assert_eq!(history, Some(1), "what is put back is no rollout: {release}");
    scene.push("app", "broken", "kind: [\n");
    scene.change("app", json!({"ref": {"tag": "broken"}}));
    scene.wait_reason("app", "Ready", "False", "ManifestInvalid").await;
    edit("while it cannot be read").await;
    scene.push("app", "3", &config_map("a", "three"));
    scene.change("app", json!({"ref": {"tag": "3"}}));
    scene.wait_data("a", "three").await;
}

#[story]
async fn a_condition_that_is_kept_says_for_which_generation() {
    let scene = Scene::begin("truth-kept").await;
    let ready = scene.install("app", &pod("web", false), json!({"wait": true})).await;
    let wait = ["wait", "oar/app", "--for=condition=Healthy", "--timeout=1s"];
    scene.story.kubectl(&wait, "");
    scene.change("app", json!({"ref": {"tag": "none"}}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "ArtifactNotFound").await;
    let generation = |release: &Value| {
        let conditions = release["status"]["conditions"].as_array().expect("conditions");
        conditions.iter().find(|c| c["type"] == "Healthy").expect("Healthy")["observedGeneration"].clone()
    };
    assert_eq!(generation(&failed), generation(&ready));
    let namespaced: Vec<&str> = ["-n", scene.namespace()].into_iter().chain(wait).collect();
    let output = scene.story.bed().try_kubectl(&namespaced, "");
    assert!(!output.status.success(), "yesterday's health is no answer for today's spec");
    // A change of the spec that changes no object is judged anew.
    scene.change("app", json!({"ref": {"tag": "1"}, "interval": "11m"}));
    let again = scene.story.wait_ready("app", "1@").await;
    assert_eq!(generation(&again), again["metadata"]["generation"]);
    scene.story.kubectl(&wait, "");
}

#[story]
async fn suspend_holds_when_the_request_is_removed_and_drift_is_not_known() {
    let scene = Scene::begin("truth-suspended").await;
    scene.install("app", &config_map("a", "one"), json!({"interval": "10s"})).await;
    scene.reconcile("app", "once").await;
    scene.change("app", json!({"suspend": true}));
    scene.wait_reason("app", "Drifted", "Unknown", "Suspended").await;
    scene.edit("a", "by hand");
    let mark = scene.mark();
    scene.story.kubectl(&["annotate", "oar", "app", "supercargo.dev/reconcile-at-"], "");
    // Whoever replaces the object removes it, too.
    let replaced = scene.release("app", json!({"interval": "11s", "suspend": true}));
    scene.story.kubectl(&["replace", "-f", "-"], &replaced.to_string());
    scene.wait_observed("app").await;
    scene.wait_data("a", "by hand").await;
    let reads = scene.requests(mark);
    let asked: Vec<_> = reads.iter().filter(|r| r.verb == "get").map(|r| r.summary()).collect();
    assert_eq!(asked, Vec::<String>::new());
    scene.reconcile("app", "again").await;
    scene.wait_data("a", "one").await;
    scene.wait_reason("app", "Drifted", "Unknown", "Suspended").await;
    scene.change("app", json!({"suspend": false}));
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
}

#[story]
async fn what_a_finalizer_holds_is_told_once_and_looked_at_less_and_less_often() {
    let scene = Scene::begin("truth-held").await;
    scene.install("app", &(config_map("a", "one") + &config_map("b", "one")), json!({})).await;
    scene.patch("v1", "configmaps", "b", json!({"metadata": {"finalizers": ["example.com/held"]}}));
    scene.push("app", "2", &config_map("a", "one"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    let says = format!("still deleting ConfigMap/{}/b", scene.namespace());
    scene
        .story
        .wait_for("it says what is held", async || {
            let ready = scene.condition("app", "Ready").await?;
            (ready.status == "True" && ready.message.contains(&says)).then_some(())
        })
        .await;
    // The events of that run are written beside it.
    let runs = scene.operator.metric(READY).expect("runs");
    scene
        .story
        .wait_for("another run", async || (scene.operator.metric(READY)? >= runs + 1.0).then_some(()))
        .await;
    let mark = scene.mark();
    scene
        .story
        .wait_for("and another", async || (scene.operator.metric(READY)? >= runs + 2.0).then_some(()))
        .await;
    assert_eq!(tellings(&scene, mark), Vec::<String>::new());
    scene.patch("v1", "configmaps", "b", json!({"metadata": {"finalizers": null}}));
    scene
        .story
        .wait_for("it is gone", async || {
            (!scene.condition("app", "Ready").await?.message.contains("still deleting")).then_some(())
        })
        .await;
}

#[story]
async fn a_failed_wait_names_what_a_pod_of_the_workload_says() {
    let story = Story::begin("truth-cause").await;
    let scene = Scene::of(story).profile(Profile::ClusterAdmin).start();
    let yaml = deployment("web", "web:1", 1)
        .replace("labels: {app: web}", "labels: {app: web, testbed.supercargo.dev/pod: failed}");
    scene.push("app", "1", &yaml);
    scene.create("app", json!({"wait": true, "timeout": "3s", "retryInterval": "1h"}));
    let message = scene.wait_reason("app", "Ready", "False", "HealthTimeout").await;
    assert!(message.ends_with("; one of its pods: container web is waiting: ImagePullBackOff"), "{message}");
    let release = scene.story.release("app").await.expect("it is there");
    let failure = release["status"]["failures"][0]["message"].as_str().expect("a message");
    assert!(message.ends_with(failure), "{failure}");
}

#[story]
async fn a_drift_correction_leaves_the_history_of_the_rollout_alone() {
    let scene = Scene::begin("truth-history").await;
    let yaml = config_map("a", "one") + &config_map("b", "one");
    let before = scene.install("app", &yaml, json!({})).await;
    assert_eq!(before["status"]["history"][0]["changes"]["created"], 2);
    scene.edit("a", "edited");
    scene.wait_data("a", "one").await;
    scene
        .story
        .wait_for("the correction is counted", async || {
            let release = scene.story.release("app").await?;
            (release["status"]["changes"]["configured"] == 1).then_some(())
        })
        .await;
    let after = scene.story.release("app").await.expect("it is there");
    assert_eq!(after["status"]["history"], before["status"]["history"]);
}

#[story]
async fn a_registry_that_is_away_has_a_condition_and_a_warning_and_fails_a_reconcile() {
    let scene = Scene::begin("truth-away").await;
    let mut proxy = Proxy::before(&registry().url(), None);
    scene.push("app", "1", &config_map("a", "one"));
    let url = format!("oci://{}/{}", proxy.host(), scene.repository("app"));
    scene.create("app", json!({"url": url, "interval": "10s"}));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.condition("app", "FetchFailed").await, None);
    proxy.refuse();
    let person = Person::of(&scene.story);
    let answer = person.run(&["reconcile", "release", "app"], "");
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("cannot check for updates"), "{answer:?}");
    scene.wait_reason("app", "FetchFailed", "True", "RegistryUnavailable").await;
    // What is applied stays, and is ready.
    assert_eq!(scene.condition("app", "Ready").await.expect("Ready").status, "True");
    scene
        .story
        .wait_for("a Warning", async || {
            let warnings = ["get", "events", "--field-selector=type=Warning", "-o", "jsonpath={..reason}"];
            scene.story.kubectl(&warnings, "").contains("RegistryUnavailable").then_some(())
        })
        .await;
    proxy.listen();
    let answer = person.run(&["reconcile", "release", "app"], "");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(scene.condition("app", "FetchFailed").await, None);
}

#[story]
async fn rights_that_are_granted_later_lead_to_a_look_at_what_changed_meanwhile() {
    let story = Story::begin("truth-rights").await;
    let scene = Scene::of(story).profile(Profile::ClusterAdmin).start();
    let rights = |name: &str| account(name) + &role(name, scene.namespace(), CONFIG_MAPS);
    scene.story.apply(&(rights("first") + &account("second")));
    scene
        .install("app", &config_map("a", "one"), json!({"serviceAccountName": "first", "interval": "1h"}))
        .await;
    scene.change("app", json!({"serviceAccountName": "second"}));
    scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    scene.story.apply(&role("second", scene.namespace(), CONFIG_MAPS));
    scene.story.wait_ready("app", "1@").await;
    scene
        .story
        .wait_for("its watch is synced", async || {
            let drifted = scene.condition("app", "Drifted").await?;
            (drifted.reason == "InSync" && !drifted.message.contains("interval")).then_some(())
        })
        .await;
    let start = Instant::now();
    scene.edit("a", "edited");
    scene.wait_data("a", "one").await;
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[story]
async fn the_table_has_room_for_what_a_person_looks_for() {
    let scene = Scene::begin("truth-columns").await;
    let release = scene.install("app", &config_map("a", "one"), json!({})).await;
    let digest = release["status"]["artifact"]["digest"].as_str().expect("a digest");
    let short = format!("1@{}", &digest[.."sha256:".len() + 12]);
    let table = scene.story.kubectl(&["get", "oar"], "");
    let (head, row) = table.split_once('\n').expect("two lines");
    let head: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(head, ["NAME", "READY", "REASON", "REVISION", "SUSPENDED", "AGE", "MESSAGE"]);
    let row: Vec<&str> = row.split_whitespace().take(5).collect();
    assert_eq!(row, ["app", "True", "ReconciliationSucceeded", &short, "false"]);
    let wide = scene.story.kubectl(&["get", "oar", "-o", "wide"], "");
    let head: Vec<&str> = wide.lines().next().expect("a line").split_whitespace().skip(6).collect();
    assert_eq!(head, ["LAST", "APPLIED", "DRIFTED", "VERIFIED", "SOURCE", "CLUSTER", "MESSAGE"]);
    let ours = Person::of(&scene.story).run(&["get", "releases"], "").stdout;
    let head: Vec<&str> = ours.lines().next().expect("a line").split_whitespace().collect();
    assert_eq!(head, ["NAME", "READY", "REASON", "REVISION", "SUSPENDED", "AGE", "MESSAGE"]);
}
