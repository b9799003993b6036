//! Drift: what differs from what was applied, however it came to differ, is seen
//! and put back, and nothing else is written.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use supercargo_testbed::proxy::{Fate, Moment, Seen};
use supercargo_testbed::story::condition;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profile, Profiles, Proxy, Story, processes, story, within};

use crate::scene::{Scene, account, config_map, deployment, is_own, role};

const PROFILES: Profiles = Profiles::Both;

const LIMIT: Duration = Duration::from_secs(60);

/// Runs kubectl as a person with an editor would.
fn edit(scene: &Scene<'_>, what: &str, script: &str) {
    let status = processes::command(Tools::get().path("kubectl"))
        .arg("--kubeconfig")
        .arg(scene.story.bed().admin_kubeconfig_path())
        .args(["--namespace", scene.namespace(), "edit", what])
        .env("KUBE_EDITOR", format!("sed -i {script}"))
        .stdout(Stdio::null())
        .status()
        .expect("run kubectl");
    assert!(status.success());
}

#[story]
async fn what_is_edited_patched_or_scaled_is_put_back_and_nothing_else_is_written() {
    let scene = Scene::begin("drift-edit").await;
    let yaml = config_map("a", "one") + &config_map("b", "one") + &deployment("web", "web:1", 1);
    scene.install("app", &yaml, json!({})).await;
    let mark = scene.mark();
    edit(&scene, "configmap/a", "s/one/edited/");
    scene.wait_data("a", "one").await;
    scene.edit("a", "patched");
    scene.wait_data("a", "one").await;
    scene.story.kubectl(&["scale", "deployment/web", "--replicas=3"], "");
    scene.wait_field("apps/v1", "deployments", "web", "/spec/replicas", &json!(1)).await;
    assert_eq!(
        scene.object_writes(mark),
        ["patch configmaps/a", "patch configmaps/a", "patch deployments/web"]
    );
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
    // Events are published beside the run.
    let told = || {
        let events =
            scene.story.kubectl(&["get", "events", "-o", "jsonpath={..reason}{..note}{..message}"], "");
        events.contains("DriftCorrected") && events.contains("Corrected drift: Deployment/")
    };
    assert!(within(LIMIT, told));
}

#[story]
async fn what_is_deleted_is_made_again_and_what_is_relabelled_is_taken_back() {
    let scene = Scene::begin("drift-labels").await;
    scene.install("app", &(config_map("a", "one") + &config_map("b", "one")), json!({})).await;
    let label = "/metadata/labels/supercargo.dev~1name";
    let mark = scene.mark();
    scene.story.kubectl(&["delete", "configmap", "a"], "");
    scene.wait_data("a", "one").await;
    scene.story.kubectl(&["label", "--overwrite", "configmap/a", "supercargo.dev/name=other"], "");
    scene.wait_field("v1", "configmaps", "a", label, &json!("app")).await;
    scene.story.kubectl(&["label", "configmap/a", "supercargo.dev/name-"], "");
    scene.wait_field("v1", "configmaps", "a", label, &json!("app")).await;
    scene.story.kubectl(&["label", "configmap/a", "supercargo.dev/name-", "supercargo.dev/namespace-"], "");
    scene.wait_field("v1", "configmaps", "a", label, &json!("app")).await;
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
    let writes = scene.object_writes(mark);
    assert!(writes.iter().all(|write| write == "patch configmaps/a"), "{writes:?}");
    assert!(writes.len() <= 4, "{writes:?}");
}

#[story]
async fn another_manager_of_the_same_name_is_corrected() {
    let scene = Scene::begin("drift-manager").await;
    scene.install("app", &(config_map("a", "one") + &config_map("b", "one")), json!({})).await;
    let mark = scene.mark();
    let apply = ["apply", "--server-side", "--field-manager=supercargo", "--force-conflicts", "-f", "-"];
    // Without the labels and with another key: all of it had one owner.
    scene.story.kubectl(&apply, &config_map("a", "theirs").replace("key:", "other:"));
    scene.wait_data("a", "one").await;
    let object = scene.story.object("v1", "configmaps", "a").await.expect("it exists");
    assert_eq!(object["data"], json!({"key": "one"}));
    assert_eq!(object["metadata"]["labels"]["supercargo.dev/name"], "app");
    assert_eq!(scene.object_writes(mark), ["patch configmaps/a"]);
}

#[story]
async fn status_updates_of_controllers_are_no_drift() {
    let scene = Scene::begin("drift-status").await;
    let yaml = deployment("web", "web:1", 3) + &deployment("fence", "web:1", 0);
    scene.install("app", &yaml, json!({})).await;
    let available = ["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"];
    let mark = scene.mark();
    for _ in 0..2 {
        scene.story.kubectl(&available, "");
        scene.story.kubectl(&["delete", "pods", "-l", "app=web", "--wait=false"], "");
        scene.wait_field("apps/v1", "deployments", "web", "/status/replicas", &json!(3)).await;
    }
    scene.story.kubectl(&available, "");
    // What the operator was told before this, it has seen when this is corrected.
    scene.patch(
        "apps/v1",
        "deployments",
        "fence",
        json!({"spec": {"paused": true, "minReadySeconds": 3, "replicas": 1}}),
    );
    scene.wait_field("apps/v1", "deployments", "fence", "/spec/replicas", &json!(0)).await;
    assert_eq!(scene.object_writes(mark), ["patch deployments/fence"]);
}

#[story]
async fn a_restart_corrects_what_drifted_meanwhile_and_without_drift_writes_nothing() {
    let mut scene = Scene::begin("drift-restart").await;
    let yaml: String = ["a", "b", "c", "d"].iter().map(|name| config_map(name, "one")).collect();
    scene.install("app", &(yaml + &deployment("web", "web:1", 1)), json!({})).await;
    scene.operator.kill();
    scene.edit("a", "meanwhile");
    scene.story.kubectl(&["delete", "configmap", "b"], "");
    scene.story.kubectl(&["label", "configmap/c", "supercargo.dev/name-"], "");
    let mark = scene.mark();
    scene.restart();
    scene.wait_data("a", "one").await;
    scene.wait_data("b", "one").await;
    scene.wait_field("v1", "configmaps", "c", "/metadata/labels/supercargo.dev~1name", &json!("app")).await;
    let mut writes = scene.object_writes(mark);
    writes.sort();
    assert_eq!(writes, ["patch configmaps/a", "patch configmaps/b", "patch configmaps/c"]);
    scene.wait_reason("app", "Drifted", "False", "InSync").await;

    scene.operator.kill();
    let mark = scene.mark();
    scene.restart();
    let done = "supercargo_reconciles_total{outcome=\"success\",reason=\"ReconciliationSucceeded\"}";
    assert!(within(LIMIT, || scene.operator.metric(done).is_some_and(|runs| runs >= 1.0)));
    let writes: Vec<String> = scene
        .requests(mark)
        .iter()
        .filter(|request| request.writes() && request.resource != "leases")
        // What the killed process had under way: an event of its last run arrives when it
        // likes, and other requests end with a 504.
        .filter(|request| request.resource != "events" && request.code != 504)
        .map(|request| request.summary())
        .collect();
    assert_eq!(writes, Vec::<String>::new());
}

#[story]
async fn report_mode_changes_nothing_and_names_the_objects_and_fields_without_values() {
    let scene = Scene::begin("drift-report").await;
    let yaml = config_map("a", "one") + &config_map("b", "one");
    scene.install("app", &yaml, json!({"drift": {"mode": "Report"}})).await;
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
    let mark = scene.mark();
    scene.patch("v1", "configmaps", "a", json!({"data": {"key": "hunter2", "more": "hunter3"}}));
    let message = scene.wait_reason("app", "Drifted", "True", "DriftDetected").await;
    let namespace = scene.namespace();
    assert_eq!(message, format!("1 object drifted: ConfigMap/{namespace}/a (/data/key)"));
    scene.edit("a", "one");
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
    scene.story.kubectl(&["delete", "configmap", "b"], "");
    let message = scene.wait_reason("app", "Drifted", "True", "DriftDetected").await;
    assert_eq!(message, format!("1 object drifted: ConfigMap/{namespace}/b (missing)"));
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    let ready = scene.condition("app", "Ready").await.expect("Ready");
    assert_eq!(ready.status, "True", "{}", ready.message);
    let log = scene.operator.log();
    assert!(log.contains("DriftDetected") && !log.contains("hunter"), "{log}");

    // A new revision is no drift.
    scene.push("app", "2", &(config_map("a", "two") + &config_map("b", "two")));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_data("a", "two").await;
    scene.wait_data("b", "two").await;
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
}

#[story]
async fn where_drift_is_left_the_next_revision_and_a_request_make_what_is_missing() {
    let scene = Scene::begin("drift-missing").await;
    let yaml = |value: &str| config_map("a", value) + &config_map("b", "one");
    scene.install("app", &yaml("one"), json!({"drift": {"mode": "Off"}})).await;
    for (mode, tag, value) in [("Off", "2", "two"), ("Report", "3", "three")] {
        scene.change("app", json!({"drift": {"mode": mode}}));
        scene.story.kubectl(&["delete", "configmap", "b"], "");
        // Another revision in which it is the same.
        scene.push("app", tag, &yaml(value));
        scene.change("app", json!({"ref": {"tag": tag}}));
        scene.wait_data("a", value).await;
        scene.wait_data("b", "one").await;
        scene.story.wait_ready("app", &format!("{tag}@")).await;
        scene.story.kubectl(&["delete", "configmap", "b"], "");
        scene.edit("a", "edited");
        if mode == "Report" {
            scene.wait_reason("app", "Drifted", "True", "DriftDetected").await;
        }
        assert_eq!(scene.story.object("v1", "configmaps", "b").await, None, "{mode}");
        scene.reconcile("app", mode).await;
        scene.wait_data("b", "one").await;
        scene.wait_data("a", "edited").await;
    }
    let message = scene.wait_reason("app", "Drifted", "True", "DriftDetected").await;
    assert!(message.contains("/a (/data/key)") && !message.contains("/b"), "{message}");
}

#[story]
async fn with_drift_off_nothing_is_looked_at_and_switched_on_it_is_put_back() {
    let scene = Scene::begin("drift-off").await;
    scene.install("app", &config_map("a", "one"), json!({"drift": {"mode": "Off"}})).await;
    let mark = scene.mark();
    scene.edit("a", "other");
    let release = scene.reconcile("app", "1").await;
    assert_eq!(condition(&release, "Drifted"), None);
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    scene.change("app", json!({"drift": {"mode": "Correct"}}));
    scene.wait_data("a", "one").await;
}

#[story]
async fn ignored_fields_are_left_to_others_and_all_other_fields_are_corrected() {
    let scene = Scene::begin("drift-ignored").await;
    let ignore = json!([{"target": {"kind": "Deployment"}, "paths": ["/spec/replicas"]}]);
    scene.install("app", &deployment("web", "web:1", 2), json!({"drift": {"ignore": ignore}})).await;
    let (replicas, image) = ("/spec/replicas", "/spec/template/spec/containers/0/image");
    let wait =
        async |field, expected| scene.wait_field("apps/v1", "deployments", "web", field, &expected).await;
    let replicas_now = async || {
        let web = scene.story.object("apps/v1", "deployments", "web").await.expect("it exists");
        web["spec"]["replicas"].clone()
    };
    // Still ours: left out, the API server would make it 1.
    scene.push("app", "2", &deployment("web", "web:2", 2));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    wait(image, json!("web:2")).await;
    assert_eq!(replicas_now().await, 2);

    scene.story.kubectl(&["scale", "deployment/web", "--replicas=5"], "");
    // What the operator was told before this, it has seen when this is corrected.
    scene.story.kubectl(&["set", "image", "deployment/web", "web=wrong:1"], "");
    wait(image, json!("web:2")).await;
    assert_eq!(replicas_now().await, 5);
    scene.push("app", "3", &deployment("web", "web:3", 2));
    scene.change("app", json!({"ref": {"tag": "3"}}));
    wait(image, json!("web:3")).await;
    assert_eq!(replicas_now().await, 5);
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
    // And again, now that it is another's: nothing of ours has changed.
    let mark = scene.mark();
    scene.story.kubectl(&["scale", "deployment/web", "--replicas=4"], "");
    scene.story.kubectl(&["set", "image", "deployment/web", "web=wrong:1"], "");
    wait(image, json!("web:3")).await;
    assert_eq!(replicas_now().await, 4);
    assert_eq!(scene.object_writes(mark), ["patch deployments/web"]);
    wait(replicas, json!(4)).await;
}

#[story]
async fn an_adversary_is_contested_by_name_with_few_requests_until_it_stops() {
    const WINDOW: Duration = Duration::from_secs(10);
    let scene = Scene::begin("drift-adversary").await;
    scene.install("app", &(config_map("a", "one") + &config_map("b", "one")), json!({})).await;
    let stop = Arc::new(AtomicBool::new(false));
    let path = format!("/api/v1/namespaces/{}/configmaps/a?fieldManager=adversary", scene.namespace());
    let (client, stopped) = (scene.story.client(), Arc::clone(&stop));
    let mark = scene.mark();
    let adversary = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut written = 0;
        while !stopped.load(Ordering::Relaxed) {
            tick.tick().await;
            written += 1;
            let body = json!({"data": {"key": format!("adverse-{written}")}}).to_string().into_bytes();
            let request = http::Request::patch(&path).header("content-type", "application/merge-patch+json");
            client.request_text(request.body(body).expect("a request")).await.expect("a write");
        }
        written
    });
    let message = scene.wait_reason("app", "Drifted", "True", "Contested").await;
    for part in [&format!("ConfigMap/{}/a by \"adversary\"", scene.namespace()), "spec.drift.ignore"] {
        assert!(message.contains(part), "{message}");
    }
    let ready = scene.condition("app", "Ready").await.expect("Ready");
    assert_eq!(ready.status, "True", "{}", ready.message);
    // Not a guess but a measure: how much is asked for in that time.
    tokio::time::sleep(WINDOW).await;
    let requests = scene.requests(mark);
    let asked: Vec<String> = requests
        .iter()
        .filter(|r| r.resource != "leases" && r.verb != "watch")
        .map(|r| r.summary())
        .collect();
    assert!(asked.len() <= 30, "{} requests: {asked:#?}", asked.len());
    let writes = requests.iter().filter(|request| request.writes() && !is_own(request)).count();
    assert!(writes <= 4, "{asked:#?}");
    assert!(scene.operator.log().contains("drift=\"Contested: "));
    stop.store(true, Ordering::Relaxed);
    let written = adversary.await.expect("the adversary");
    assert!(written >= 90, "it wrote only {written} times");
    scene.wait_data("a", "one").await;
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
}

#[story]
async fn an_account_without_list_and_watch_is_corrected_at_the_interval_and_the_status_says_so() {
    let scene = Scene::of(Story::begin("drift-blind").await).profile(Profile::Least).start();
    let rules = "[{apiGroups: [''], resources: [configmaps], verbs: [get, create, patch, delete]}]";
    scene.story.apply(&(account("blind") + &role("blind", scene.namespace(), rules)));
    let spec = json!({"serviceAccountName": "blind", "interval": "10s"});
    scene.install("app", &config_map("a", "one"), spec).await;
    let message = scene.wait_reason("app", "Drifted", "False", "InSync").await;
    let blind = format!("ServiceAccount/{}/blind", scene.namespace());
    assert_eq!(
        message,
        format!(
            "No drift; checked only every spec.interval, because {blind} cannot list and watch \
             configmaps"
        )
    );
    let mark = scene.mark();
    scene.edit("a", "other");
    scene.wait_data("a", "one").await;
    assert_eq!(scene.object_writes(mark), ["patch configmaps/a"]);
    let requests = scene.requests(mark);
    let got = requests.iter().any(|r| r.verb == "get" && r.name == "a" && r.impersonated.is_some());
    assert!(got, "{requests:#?}");
}

/// Waits until an apply would leave a time of its own: those in managedFields are in
/// seconds.
fn a_second_later() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let begin = second();
    assert!(within(LIMIT, || second() > begin));
}

#[story]
async fn what_was_put_back_once_is_put_back_again_while_a_newer_revision_is_refused() {
    let scene = Scene::begin("drift-again").await;
    scene.push("app", "1", &config_map("a", "one"));
    let digest = scene.push("app", "2", &(config_map("a", "one") + &config_map("b", "one")));
    scene.push("app", "broken", "kind: [\n");
    scene.create("app", json!({"retryInterval": "1h"}));
    for reference in [json!({"tag": "1"}), json!({"tag": null, "digest": digest})] {
        scene.change("app", json!({"ref": reference}));
        let ready = scene.story.wait_ready("app", "").await;
        let revision = ready["status"]["lastAppliedRevision"].as_str().expect("a revision").to_owned();
        scene.change("app", json!({"ref": {"tag": "broken", "digest": null}}));
        scene.wait_reason("app", "Ready", "False", "ManifestInvalid").await;
        for edit in ["once", "twice"] {
            a_second_later();
            scene.edit("a", edit);
            scene.wait_data("a", "one").await;
        }
        let inventory = scene.story.object("v1", "configmaps", "inv-app").await.expect("an inventory");
        assert_eq!(inventory["metadata"]["annotations"]["supercargo.dev/revision"], revision, "{inventory}");
    }
}

#[story]
async fn a_correction_that_stopped_half_way_goes_on_while_a_newer_revision_is_refused() {
    let story = Story::begin("drift-cut").await;
    let proxy = Proxy::before_api_server(story.bed());
    let mut scene = Scene::of(story).start_with(|options| options.through(&proxy));
    let yaml: String = ["a", "b", "c"].iter().map(|name| config_map(name, "one")).collect();
    scene.install("app", &yaml, json!({"retryInterval": "1h"})).await;
    scene.push("app", "broken", "kind: [\n");
    scene.change("app", json!({"ref": {"tag": "broken"}}));
    scene.wait_reason("app", "Ready", "False", "ManifestInvalid").await;
    let edit = |name: &str| scene.edit(name, "edited");
    let writes = |name: &'static str| {
        move |seen: &Seen| seen.writes() && seen.path.contains(&format!("/configmaps/{name}?"))
    };
    let refusal =
        r#"{"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"}"#;
    proxy.forget();
    proxy.rule(move |seen| match writes("a")(seen) {
        true => Fate::Answer(403, refusal.to_owned()),
        false => Fate::Pass,
    });
    edit("a");
    assert!(within(LIMIT, || proxy.count(writes("a")) > 0));
    proxy.pass_all();
    edit("b");
    scene.wait_data("a", "one").await;
    scene.wait_data("b", "one").await;
    // It is about to be made again when the process ends.
    proxy.hold_from(1, Moment::Before, writes("c"));
    scene.story.kubectl(&["delete", "configmap", "c"], "");
    assert!(proxy.wait_held(LIMIT, Moment::Before).is_some());
    scene.operator.kill();
    proxy.discard();
    proxy.pass_all();
    scene.restart();
    scene.wait_data("c", "one").await;
    a_second_later();
    scene.edit("c", "edited");
    scene.wait_data("c", "one").await;
    scene.wait_reason("app", "Ready", "False", "ManifestInvalid").await;
}
