//! Early verdicts: what the pods behind a workload say, and what a wait makes of it. The bed
//! has no kubelet: a story writes what one would.

use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::audit::Mark;
use supercargo_testbed::{Profile, Profiles, Story, story};

use crate::scene::{Scene, account, config_map, deployment, message, role};

const PROFILES: Profiles = Profiles::First("what a failure means does not depend on rights");

/// A Deployment of one pod that is scheduled and says nothing, with annotations in flow style.
pub fn held(name: &str, image: &str, annotations: &str) -> String {
    let labels = format!("labels: {{app: {name}}}");
    let held = format!("labels: {{app: {name}, testbed.supercargo.dev/pod: held}}");
    let yaml = deployment(name, image, 1).replace(&labels, &held);
    match annotations {
        "" => yaml,
        annotations => yaml.replace(
            &format!("metadata: {{name: {name}}}"),
            &format!("metadata: {{name: {name}, annotations: {{{annotations}}}}}"),
        ),
    }
}

/// A container that waits.
pub fn waits(reason: &str, text: &str) -> Value {
    json!({"name": "web", "image": "web", "imageID": "", "ready": false, "restartCount": 0,
           "state": {"waiting": {"reason": reason, "message": text}}})
}

/// A container that has crashed once more than it was restarted.
pub fn crashed(restarts: u32, reason: &str, code: u32) -> Value {
    let ended = json!({"exitCode": code, "reason": reason});
    json!({"name": "web", "image": "web", "imageID": "", "ready": false, "restartCount": restarts,
           "state": {"terminated": ended}})
}

/// The kubelet's word for one that crashes again and again.
pub fn loops(restarts: u32, reason: &str, code: u32) -> Value {
    let mut container = crashed(restarts, reason, code);
    container["lastState"] = container["state"].take();
    container["state"] =
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}});
    container
}

/// Waits until the pods of an app are scheduled, as many as its selector finds, and writes the
/// status of the container of each.
pub async fn pods_say(scene: &Scene<'_>, selector: &str, container: &Value) {
    pods_are(scene, selector, "Running", container).await;
}

/// The same, in another phase.
pub async fn pods_are(scene: &Scene<'_>, selector: &str, phase: &str, container: &Value) {
    let name = scene
        .story
        .wait_for("its pod is scheduled", async || {
            let pods = scene.story.kubectl(&["get", "pods", "-l", selector, "-o", "json"], "");
            let pods: Value = serde_json::from_str(&pods).expect("a list");
            let pod = pods["items"].as_array()?.first()?.clone();
            pod["spec"]["nodeName"].as_str()?;
            pod["metadata"]["name"].as_str().map(str::to_owned)
        })
        .await;
    let status = json!({"status": {"phase": phase, "containerStatuses": [container]}}).to_string();
    scene.story.kubectl(&["patch", "pod", &name, "--subresource=status", "--type=merge", "-p", &status], "");
}

/// Waits until the pods of a release are watched.
pub async fn wait_watched(scene: &Scene<'_>, mark: Mark) {
    let watched = async || {
        let requests = scene.requests(mark);
        requests.iter().any(|r| r.resource == "pods" && r.verb == "watch").then_some(())
    };
    scene.story.wait_for("its pods are watched", watched).await;
}

/// What Ready says of the only object, without the headline.
pub fn why(release: &Value, kind_and_name: &str) -> String {
    let said = message(release, "Ready");
    let (_, why) = said.split_once(&format!("{kind_and_name}: ")).unwrap_or_else(|| panic!("{said}"));
    why.to_owned()
}

#[story]
async fn what_does_not_recover_by_itself_ends_the_wait_in_words() {
    let scene = Scene::begin("verdicts-final").await;
    for (name, container, expected) in [
        ("oom", loops(4, "OOMKilled", 137), "container web keeps crashing: OOMKilled, at least 2 times"),
        ("exits", crashed(1, "Error", 3), "container web keeps crashing: exit code 3, at least 2 times"),
        (
            "image",
            waits("InvalidImageName", "couldn't parse image name \"Web\""),
            "container web is waiting: InvalidImageName: couldn't parse image name \"Web\"",
        ),
        (
            "never",
            waits("ErrImageNeverPull", "Container image \"web\" is not present with pull policy of Never"),
            "container web is waiting: ErrImageNeverPull: Container image \"web\" is not present with pull policy of Never",
        ),
    ] {
        scene.push(name, "1", &held(name, "web:1", ""));
        scene.create(name, json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
        pods_say(&scene, &format!("app={name}"), &container).await;
        let failed = scene.story.wait_condition(name, "Ready", "False", "HealthCheckFailed").await;
        let said = format!(
            "unhealthy; Deployment/{}/{name}: 0 of 1 replicas ready; one of its pods: {expected}",
            scene.namespace()
        );
        assert_eq!(message(&failed, "Ready"), said);
        assert_eq!(message(&failed, "Healthy"), said);
    }
    // Before the workload itself has said anything, and it is counted so.
    let counted = scene.operator.metric("supercargo_failure_verdict_seconds_count{source=\"pods\"}");
    assert_eq!(counted, Some(4.0));
}

#[story]
async fn what_may_recover_is_only_named_and_when_it_does_the_wait_ends_well() {
    let scene = Scene::begin("verdicts-words").await;
    let unscheduled = deployment("nowhere", "web:1", 1)
        .replace("spec: {containers", "spec: {nodeSelector: {no: such}, containers");
    let claims = deployment("claims", "web:1", 1).replace(
        "spec: {containers",
        "spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: none}}], containers",
    );
    let cases = [
        (
            "pulls",
            Some(waits("ErrImagePull", "not found")),
            held("pulls", "web:1", ""),
            "container web is waiting: ImagePullBackOff",
        ),
        (
            "config",
            Some(waits("CreateContainerConfigError", "secret \"db\" not found")),
            held("config", "web:1", ""),
            "container web is waiting: CreateContainerConfigError: secret \"db\" not found",
        ),
        (
            "once",
            Some(crashed(0, "Error", 1)),
            held("once", "web:1", ""),
            "container web has crashed: exit code 1",
        ),
        (
            "nowhere",
            None,
            unscheduled,
            "is not scheduled: Unschedulable: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector",
        ),
        (
            "claims",
            None,
            claims,
            "is not scheduled: Unschedulable: 0/1 nodes are available: persistentvolumeclaim \"none\" not found",
        ),
    ];
    for (name, _, yaml, _) in &cases {
        scene.push(name, "1", yaml);
        scene.create(name, json!({"wait": true, "timeout": "8s", "retryInterval": "1h"}));
    }
    for (name, container, _, _) in &cases {
        if let Some(container) = container {
            pods_say(&scene, &format!("app={name}"), container).await;
        }
    }
    for (name, _, _, expected) in &cases {
        let late = scene.story.wait_condition(name, "Ready", "False", "HealthTimeout").await;
        let said = why(&late, &format!("Deployment/{}/{name}", scene.namespace()));
        assert_eq!(said, format!("0 of 1 replicas ready; one of its pods: {expected}"));
    }
    scene.story.kubectl(&["delete", "pods", "-l", "app=pulls"], "");
    scene.story.kubectl(&["label", "pods", "-l", "app=pulls", "testbed.supercargo.dev/pod-"], "");
    scene.story.wait_ready("pulls", "1@").await;
}

#[story]
async fn a_quota_is_named_although_there_is_no_pod() {
    let scene = Scene::begin("verdicts-quota").await;
    let quota = "---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {pods: \"0\"}}\n---\n";
    scene.story.apply(quota);
    scene.wait_field("v1", "resourcequotas", "none", "/status/hard/pods", &json!("0")).await;
    scene.push("app", "1", &deployment("web", "web:1", 1));
    scene.create("app", json!({"wait": true, "timeout": "5s", "retryInterval": "1h"}));
    let late = scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    assert_eq!(
        why(&late, &format!("Deployment/{}/web", scene.namespace())),
        "cannot create pods: FailedCreate: pods is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, \
         limited: pods=0"
    );
}

#[story]
async fn a_pod_of_an_earlier_revision_does_not_count() {
    let scene = Scene::begin("verdicts-old").await;
    scene.install("app", &deployment("web", "web:1", 1), json!({"wait": true, "timeout": "10m"})).await;
    let set = "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: set}\nspec:\n  serviceName: set\n  replicas: 2\n  \
               updateStrategy: {rollingUpdate: {partition: 1}}\n  selector: {matchLabels: {app: set}}\n  template:\n    \
               metadata: {labels: {app: set}}\n    spec: {containers: [{name: web, image: \"web:1\"}]}\n---\n";
    scene.install("set", set, json!({"wait": true, "timeout": "10m"})).await;

    // The old pod crashes while the new one is held: only the new one speaks.
    scene.upgrade("app", "2", &held("web", "web:2", ""));
    scene.wait_message("app", "Unknown", "Waiting for 1 of 1 object").await;
    pods_say(&scene, "app=web,testbed.supercargo.dev/pod!=held", &loops(9, "Error", 1)).await;
    scene.upgrade(
        "set",
        "2",
        &set.replace("web:1", "web:2")
            .replace("{app: set}}\n    spec", "{app: set, testbed.supercargo.dev/pod: held}}\n    spec"),
    );
    scene.wait_message("set", "Unknown", "Waiting for 1 of 1 object").await;
    let old = scene.story.wait_for("the second pod is replaced", async || {
        let pod = scene.story.object("v1", "pods", "set-1").await?;
        (pod["spec"]["containers"][0]["image"] == "web:2").then_some("set-0")
    });
    let old = old.await;
    let crash = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [loops(9, "Error", 1)]}});
    scene.story.kubectl(&["patch", "pod", old, "--subresource=status", "-p", &crash.to_string()], "");
    // The watches have seen those: what the new pods say comes after it.
    pods_say(&scene, "app=web,testbed.supercargo.dev/pod=held", &waits("InvalidImageName", "")).await;
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.ends_with("; one of its pods: container web is waiting: InvalidImageName"), "{said}");
    let new = json!({"status": {"containerStatuses": [waits("ErrImageNeverPull", "")]}});
    scene.story.kubectl(&["patch", "pod", "set-1", "--subresource=status", "-p", &new.to_string()], "");
    let failed = scene.story.wait_condition("set", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.ends_with("; one of its pods: container web is waiting: ErrImageNeverPull"), "{said}");
}

#[story]
async fn an_annotation_says_how_often_the_containers_may_fail() {
    let scene = Scene::begin("verdicts-allowed").await;
    let annotation = "supercargo.dev/failures-allowed: \"3\"";
    scene.push("app", "1", &held("web", "web:1", annotation));
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_say(&scene, "app=web", &loops(2, "Error", 1)).await;
    let more = held("web", "web:1", annotation) + &config_map("a", "one");
    scene.upgrade("app", "2", &more);
    // Another run has waited with the third failure in sight.
    let waits_again = async || {
        let says = message(&scene.story.release("app").await?, "Ready");
        says.contains("(revision 2@").then_some(())
    };
    scene.story.wait_for("the second revision is waited for", waits_again).await;
    pods_say(&scene, "app=web", &loops(3, "Error", 1)).await;
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(
        said.ends_with("one of its pods: container web keeps crashing: exit code 1, at least 4 times"),
        "{said}"
    );
    // A later crash and another attempt say the same.
    pods_say(&scene, "app=web", &loops(7, "Error", 1)).await;
    scene.ask("app", "again");
    let again = scene.wait_handled("app", "again").await;
    assert_eq!(message(&again, "Ready"), said);

    scene.push("none", "1", &held("none", "web:1", "supercargo.dev/failures-allowed: \"0\""));
    scene.create("none", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_say(&scene, "app=none", &crashed(0, "Error", 1)).await;
    let failed = scene.story.wait_condition("none", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.ends_with("one of its pods: container web has crashed: exit code 1"), "{said}");
}

#[story]
async fn a_job_counts_its_failures_itself_unless_an_annotation_does() {
    let scene = Scene::begin("verdicts-job").await;
    let job = |name: &str, annotations: &str| {
        format!(
            "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}{annotations}}}\nspec:\n  backoffLimit: 6\n  \
             template:\n    metadata: {{labels: {{app: {name}, testbed.supercargo.dev/pod: held}}}}\n    \
             spec: {{restartPolicy: OnFailure, containers: [{{name: web, image: \"web:1\"}}]}}\n---\n"
        )
    };
    scene.push("own", "1", &job("own", ""));
    scene.push("few", "1", &job("few", ", annotations: {supercargo.dev/failures-allowed: \"1\"}"));
    scene.create("own", json!({"wait": true, "timeout": "8s", "retryInterval": "1h"}));
    // The bed completes a pod of a Job that is running.
    pods_are(&scene, "app=own", "Pending", &loops(2, "Error", 1)).await;
    scene.create("few", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_are(&scene, "app=few", "Pending", &loops(2, "Error", 1)).await;
    let failed = scene.story.wait_condition("few", "Ready", "False", "HealthCheckFailed").await;
    let said = "0 of 1 completions; one of its pods: container web has crashed: exit code 1";
    let object = |name: &str| format!("Job/{}/{name}", scene.namespace());
    assert_eq!(why(&failed, &object("few")), format!("{said}; its pods have failed at least 2 times"));
    let late = scene.story.wait_condition("own", "Ready", "False", "HealthTimeout").await;
    assert_eq!(why(&late, &object("own")), said);
}

#[story]
async fn a_failure_is_ignored_or_may_recover_until_the_end() {
    let scene = Scene::begin("verdicts-modes").await;
    let optional = held("optional", "web:1", "supercargo.dev/fail-mode: Ignore");
    scene.push("ignores", "1", &(config_map("a", "one") + &optional));
    scene.create("ignores", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_say(&scene, "app=optional", &loops(2, "Error", 1)).await;
    let ready = scene.story.wait_ready("ignores", "1@").await;
    let object = format!("Deployment/{}/optional", scene.namespace());
    assert_eq!(
        message(&ready, "Healthy"),
        format!("All objects are healthy; not healthy and ignored: {object}")
    );

    // It is waited for, but a timeout with nothing else left is none.
    scene.push("late", "1", &held("late", "web:1", "supercargo.dev/fail-mode: Ignore"));
    scene.create("late", json!({"wait": true, "timeout": "2s", "retryInterval": "1h"}));
    scene.story.wait_ready("late", "1@").await;

    scene.push("hopes", "1", &held("hopes", "web:1", "supercargo.dev/fail-mode: HopeUntilEnd"));
    scene.create("hopes", json!({"wait": true, "timeout": "6s", "retryInterval": "1h"}));
    pods_say(&scene, "app=hopes", &loops(2, "Error", 1)).await;
    let late = scene.story.wait_condition("hopes", "Ready", "False", "HealthTimeout").await;
    let said = message(&late, "Ready");
    assert!(said.ends_with("container web keeps crashing: exit code 1, at least 2 times"), "{said}");
    scene.change("hopes", json!({"timeout": "10m"}));
    scene.wait_message("hopes", "Unknown", "Waiting for 1 of 1 object").await;
    scene.story.kubectl(&["delete", "pods", "-l", "app=hopes"], "");
    scene.story.kubectl(&["label", "pods", "-l", "app=hopes", "testbed.supercargo.dev/pod-"], "");
    scene.story.wait_ready("hopes", "1@").await;

    scene.push("wrong", "1", &held("wrong", "web:1", "supercargo.dev/fail-mode: Maybe"));
    scene.create("wrong", json!({}));
    let refused = scene.wait_reason("wrong", "Ready", "False", "ManifestInvalid").await;
    let expected = format!(
        "Deployment/{}/wrong: invalid annotation supercargo.dev/fail-mode: \"Maybe\"; use Fail, Ignore or HopeUntilEnd",
        scene.namespace()
    );
    assert!(refused.contains(&expected), "{refused}");
}

#[story]
async fn a_wait_ends_when_nothing_changes_for_too_long() {
    let scene = Scene::begin("verdicts-progress").await;
    scene.push("app", "1", &held("web", "web:1", "supercargo.dev/no-progress-timeout: 3s"));
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    pods_say(&scene, "app=web", &waits("ImagePullBackOff", "")).await;
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    assert_eq!(
        why(&failed, &format!("Deployment/{}/web", scene.namespace())),
        "0 of 1 replicas ready; one of its pods: container web is waiting: ImagePullBackOff; nothing has changed for 3s"
    );
}

#[story]
async fn without_the_right_to_see_pods_the_message_says_which_one_is_missing() {
    let scene = Scene::of(Story::begin("verdicts-rights").await).profile(Profile::Least).start();
    let namespace = scene.namespace().to_owned();
    let some = "[{apiGroups: [''], resources: [configmaps], verbs: ['*']}, {apiGroups: [apps], resources: [deployments], verbs: ['*']}";
    let rights = [
        ("blind", format!("{some}]"), "list on replicasets"),
        (
            "half",
            format!("{some}, {{apiGroups: [apps], resources: [replicasets], verbs: [list]}}]"),
            "list and watch on pods",
        ),
    ];
    for (name, rules, missing) in rights {
        scene.story.apply(&(account(name) + &role(name, &namespace, &rules)));
        scene.push(name, "1", &held(name, "web:1", ""));
        scene.create(
            name,
            json!({"wait": true, "timeout": "4s", "retryInterval": "1h", "serviceAccountName": name}),
        );
        pods_say(&scene, &format!("app={name}"), &loops(2, "Error", 1)).await;
        let late = scene.story.wait_condition(name, "Ready", "False", "HealthTimeout").await;
        assert_eq!(
            why(&late, &format!("Deployment/{namespace}/{name}")),
            format!("0 of 1 replicas ready; grant ServiceAccount/{namespace}/{name} {missing} to see why")
        );
    }
}

#[story]
async fn pods_are_watched_only_while_a_workload_is_waited_for() {
    let scene = Scene::begin("verdicts-watches").await;
    let of_pods = |mark| {
        let requests = scene.requests(mark);
        requests
            .into_iter()
            .filter(|r| ["pods", "replicasets"].contains(&r.resource.as_str()))
            .map(|r| r.verb)
            .collect::<Vec<_>>()
    };
    // Healthy at once: no request about pods. What is unchanged is not asked for either.
    let mark = scene.mark();
    scene.install("quick", &config_map("a", "one"), json!({"wait": true})).await;
    assert_eq!(of_pods(mark), Vec::<String>::new());
    let mark = scene.mark();
    scene.push("app", "1", &held("web", "web:1", ""));
    scene.create("app", json!({"wait": true, "timeout": "10m"}));
    pods_say(&scene, "app=web", &waits("ImagePullBackOff", "")).await;
    let watched = async || of_pods(mark).contains(&"watch".to_owned()).then_some(());
    scene.story.wait_for("its pods are watched", watched).await;
    let mut verbs = of_pods(mark);
    verbs.sort();
    verbs.dedup();
    assert_eq!(verbs, ["list", "watch"]);
    scene.story.kubectl(&["delete", "pods", "-l", "app=web"], "");
    scene.story.kubectl(&["label", "pods", "-l", "app=web", "testbed.supercargo.dev/pod-"], "");
    scene.story.wait_ready("app", "1@").await;
    // A revision that leaves the healthy workload as it is.
    let mark = scene.mark();
    scene.upgraded("app", "2", &(held("web", "web:1", "") + &config_map("b", "one"))).await;
    assert_eq!(of_pods(mark), Vec::<String>::new());
    // Nothing is asked any more, whatever the pods do.
    let mark = scene.mark();
    scene.story.kubectl(&["annotate", "pods", "-l", "app=web", "seen=no"], "");
    scene.reconcile("app", "later").await;
    assert_eq!(of_pods(mark), Vec::<String>::new());
}

#[story]
async fn a_claim_of_a_missing_class_fails_and_the_next_run_finds_the_class() {
    let scene = Scene::of(Story::begin("verdicts-claim").await).profile(Profile::ClusterAdmin).start();
    let namespace = scene.namespace().to_owned();
    let claim = |name: &str, class: &str| {
        format!(
            "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec: {{accessModes: [ReadWriteOnce], \
             {class}resources: {{requests: {{storage: 1Gi}}}}}}\n---\n"
        )
    };
    scene.push("named", "1", &claim("named", &format!("storageClassName: {namespace}, ")));
    scene.create("named", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    scene.push("default", "1", &claim("default", ""));
    scene.create("default", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    scene.push("static", "1", &claim("static", "storageClassName: '', "));
    scene.create("static", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    let object = |name: &str| format!("PersistentVolumeClaim/{namespace}/{name}");
    let failed = scene.story.wait_condition("named", "Ready", "False", "HealthCheckFailed").await;
    assert_eq!(
        why(&failed, &object("named")),
        format!("has no volume, and its StorageClass {namespace} does not exist")
    );
    let failed = scene.story.wait_condition("default", "Ready", "False", "HealthCheckFailed").await;
    assert_eq!(
        why(&failed, &object("default")),
        "has no volume: it names no StorageClass, and there is no default one"
    );
    scene.story.wait_ready("static", "1@").await;
    let class = format!(
        "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {namespace}}}\nprovisioner: example.com/none\n\
         volumeBindingMode: WaitForFirstConsumer\n---\n"
    );
    scene.story.kubectl(&["apply", "-f", "-"], &class);
    scene.ask("named", "now");
    scene.story.wait_ready("named", "1@").await;
    scene.story.kubectl(&["delete", "storageclass", &namespace], "");
}

#[story]
async fn a_verdict_is_in_the_status_within_seconds_of_the_crash() {
    let scene = Scene::begin("verdicts-soon").await;
    scene.push("app", "1", &held("web", "web:1", ""));
    let mark = scene.mark();
    scene.create("app", json!({"wait": true, "timeout": "10m", "retryInterval": "1h"}));
    wait_watched(&scene, mark).await;
    pods_say(&scene, "app=web", &loops(1, "Error", 1)).await;
    let crash = std::time::Instant::now();
    scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    // The bound of a test on a busy machine; `make bench` measures the time.
    assert!(crash.elapsed() < Duration::from_secs(10), "{:?}", crash.elapsed());
}
