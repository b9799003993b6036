//! Early verdicts while something else happens: a watch that is cut or too old, another rollout,
//! another revision, a pod that recovers, and a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use supercargo_testbed::proxy::{Fate, Seen};
use supercargo_testbed::{Profiles, Proxy, Story, story};

use crate::scene::{Scene, config_map, message};
use crate::verdicts::{crashed, held, loops, pods_are, pods_say, wait_watched, waits, why};

const PROFILES: Profiles = Profiles::First("what a failure means does not depend on rights");

fn watches_pods(seen: &Seen) -> bool {
    seen.path.contains("/pods?") && seen.path.contains("watch=true")
}

#[story]
async fn a_crash_while_the_watch_is_cut_and_too_old_is_seen_when_it_is_back() {
    let story = Story::begin("verdicts-gone").await;
    let mut proxy = Proxy::before_api_server(story.bed());
    let scene = Scene::of(story).start_with(|options| options.through(&proxy));
    scene.push("app", "1", &held("web", "web:1", ""));
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_say(&scene, "app=web", &waits("ImagePullBackOff", "")).await;
    let watched = async || (proxy.count(watches_pods) > 0).then_some(());
    scene.story.wait_for("its pods are watched", watched).await;

    let gone = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,
        "message":"too old resource version"}"#;
    let mut first = true;
    proxy.forget();
    proxy.rule(move |seen| match watches_pods(seen) {
        true if std::mem::take(&mut first) => Fate::Answer(410, gone.to_owned()),
        _ => Fate::Pass,
    });
    proxy.refuse();
    pods_say(&scene, "app=web", &loops(2, "OOMKilled", 137)).await;
    proxy.listen();
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.ends_with("container web keeps crashing: OOMKilled, at least 2 times"), "{said}");
    let lists = |seen: &Seen| seen.path.contains("/pods?") && seen.path.contains("sendInitialEvents");
    assert!(proxy.count(lists) >= 1, "it lists again: {:?}", proxy.seen());
}

#[story]
async fn the_pods_of_a_rollout_that_begins_during_the_wait_count_instead() {
    let scene = Scene::begin("verdicts-again").await;
    scene.push("app", "1", &held("web", "web:1", ""));
    let mark = scene.mark();
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_say(&scene, "app=web", &waits("ImagePullBackOff", "")).await;
    let hashes = || {
        let pods = scene.story.kubectl(&["get", "pods", "-l", "app=web", "-o", "json"], "");
        let pods: Value = serde_json::from_str(&pods).expect("a list");
        let hash = |pod: &Value| pod["metadata"]["labels"]["pod-template-hash"].as_str().map(str::to_owned);
        pods["items"].as_array().into_iter().flatten().filter_map(hash).collect::<Vec<String>>()
    };
    let watched = async |hash: &str| {
        let requests = scene.requests(mark);
        requests
            .iter()
            .any(|r| r.verb == "watch" && r.uri.contains("/pods?") && r.uri.contains(hash))
            .then_some(())
    };
    let old = hashes().first().cloned().expect("a pod");
    scene.story.wait_for("the first pod is watched", async || watched(&old).await).await;
    scene.story.kubectl(&["rollout", "restart", "deployment/web"], "");
    let new = scene.story.wait_for("another pod", async || hashes().into_iter().find(|hash| *hash != old));
    let new = new.await;
    scene.story.wait_for("the second pod is watched", async || watched(&new).await).await;
    pods_say(&scene, &format!("pod-template-hash={old}"), &loops(9, "Error", 1)).await;
    pods_say(&scene, &format!("pod-template-hash={new}"), &waits("ErrImageNeverPull", "")).await;
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.ends_with("; one of its pods: container web is waiting: ErrImageNeverPull"), "{said}");
}

#[story]
async fn another_revision_ends_the_wait_and_its_watches() {
    let scene = Scene::begin("verdicts-newer").await;
    scene.push("app", "1", &held("web", "web:1", ""));
    let mark = scene.mark();
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    let begun = || {
        let requests = scene.requests(mark).into_iter();
        requests.filter(|r| r.resource == "pods" && r.verb == "watch").count()
    };
    scene.story.wait_for("its pods are watched", async || (begun() > 0).then_some(())).await;
    scene.upgrade("app", "2", &config_map("a", "one"));
    scene.story.wait_ready("app", "2@").await;
    let user = scene.account.user();
    let ended = || scene.story.bed().audit().watches_ended(mark, &user, "pods");
    scene.story.wait_for("no watch is left", async || (ended() == begun()).then_some(())).await;
}

#[story]
async fn a_container_that_crashes_once_and_recovers_fails_nothing() {
    let scene = Scene::begin("verdicts-recovers").await;
    scene.push("app", "1", &held("web", "web:1", ""));
    let mark = scene.mark();
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    wait_watched(&scene, mark).await;
    pods_say(&scene, "app=web", &crashed(0, "Error", 1)).await;
    let up = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "web", "image": "web", "imageID": "", "ready": true, "restartCount": 1,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}});
    let pods = scene.story.kubectl(&["get", "pods", "-l", "app=web", "-o", "name"], "");
    let (pod, up) = (pods.trim(), up.to_string());
    scene.story.kubectl(&["patch", pod, "--subresource=status", "--type=merge", "-p", &up], "");
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(message(&ready, "Healthy"), "All objects are healthy");
}

#[story]
async fn a_failed_job_quotes_its_log_on_request_and_says_the_same_again() {
    let story = Story::begin("verdicts-log").await;
    let proxy = Proxy::before_api_server(story.bed());
    let logs = |seen: &Seen| seen.path.contains("/log?");
    let lines = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&lines);
    // The bed has no kubelet. This one has no earlier run of the container, and each line of the
    // log is another one.
    proxy.rule(move |seen| match (logs(seen), seen.path.contains("previous=true")) {
        (false, _) => Fate::Pass,
        (true, true) => Fate::Answer(400, "{}".to_owned()),
        (true, false) => {
            let line = count.fetch_add(1, Ordering::Relaxed);
            Fate::Answer(200, format!("starts\n\u{1b}[31m{line}: no database\n\n"))
        }
    });
    let scene = Scene::of(story).start_with(|options| options.through(&proxy));
    let job = |name: &str, annotations: &str| {
        format!(
            "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}{annotations}}}\nspec:\n  backoffLimit: 0\n  \
             template:\n    metadata: {{labels: {{app: {name}, testbed.supercargo.dev/pod: held}}}}\n    \
             spec: {{restartPolicy: Never, containers: [{{name: web, image: \"web:1\"}}]}}\n---\n"
        )
    };
    let said = "has failed, BackoffLimitExceeded: Job has reached the specified backoff limit; one of its pods: \
        has failed, container web exited with code 3";
    scene.push("plain", "1", &job("plain", ""));
    scene.create("plain", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_are(&scene, "app=plain", "Failed", &crashed(0, "Error", 3)).await;
    let failed = scene.story.wait_condition("plain", "Ready", "False", "HealthCheckFailed").await;
    assert_eq!(why(&failed, &format!("Job/{}/plain", scene.namespace())), said);
    assert_eq!(proxy.count(logs), 0, "without the annotation no log is read");

    scene.push("app", "1", &job("app", ", annotations: {supercargo.dev/log-line: enabled}"));
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_are(&scene, "app=app", "Failed", &crashed(0, "Error", 3)).await;
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = format!("{said}; last log line: ?[31m0: no database");
    assert_eq!(why(&failed, &format!("Job/{}/app", scene.namespace())), said);
    scene.ask("app", "again");
    let again = scene.wait_handled("app", "again").await;
    assert_eq!(message(&again, "Ready"), message(&failed, "Ready"));
    assert_eq!(lines.load(Ordering::Relaxed), 1, "the line that was quoted stays");
}
