//! What is refused: by the product, by the API server, by webhooks; and that a
//! refusal leaves everything as it was.

use serde_json::{Value, json};
use supercargo_testbed::webhook::{Behaviour, Webhook};
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, annotated, config_map, message, text};

const PROFILES: Profiles = Profiles::Both;

#[story]
async fn promise_3_an_empty_artifact_empties_nothing_without_approval() {
    let scene = Scene::begin("empty").await;
    scene.install("app", &format!("{}{}", config_map("a", "one"), config_map("b", "one")), json!({})).await;
    let digest = scene.push("app", "2", "# nothing is left\n");
    scene.change("app", json!({"ref": {"tag": "2"}}));
    let stalled = scene.story.wait_condition("app", "Stalled", "True", "ArtifactEmpty").await;
    let command = format!(
        "kubectl -n {} annotate --overwrite oar app supercargo.dev/approve={digest}",
        scene.namespace()
    );
    let said = message(&stalled, "Ready");
    assert!(said.contains("remove 2 objects") && said.ends_with(&format!("`{command}`")), "{said}");
    scene.annotate("app", "supercargo.dev/approve", "sha256:another");
    scene.reconcile("app", "again").await;
    assert!(scene.config_map("a").await.is_some() && scene.config_map("b").await.is_some());

    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    scene.story.bed().kubectl(&arguments, "");
    let ready = scene.story.wait_ready("app", "2@").await;
    assert_eq!(ready["status"]["changes"]["pruned"], 2);
    assert!(scene.config_map("a").await.is_none() && scene.config_map("b").await.is_none());
}

#[story]
async fn promise_4_bad_objects_among_100_are_all_listed_and_nothing_is_written() {
    let scene = Scene::begin("bad").await;
    scene.install("app", &config_map("stays", "one"), json!({})).await;
    let good: String = (0..75).map(|n| config_map(&format!("good-{n}"), "one")).collect();
    let mark = scene.mark();
    let revision = |bad: usize| {
        let bad: String = (0..bad).map(bad_service).collect();
        format!("{}{good}{bad}", config_map("stays", "one"))
    };
    scene.upgrade("app", "2", &revision(25));
    let failed = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    assert_eq!(failed["status"]["failures"].as_array().map(Vec::len), Some(20));
    assert_eq!(failed["status"]["moreFailures"], 5);
    let said = message(&failed, "Ready");
    assert!(said.starts_with("nothing applied, dry run failed for 25 objects; Service/"), "{said}");

    scene.upgrade("app", "3", &revision(3));
    let failed = wait_attempted(&scene, "3@").await;
    let failures = failed["status"]["failures"].as_array().expect("failures");
    let objects: Vec<String> = failures.iter().map(|failure| text(failure, "/object")).collect();
    let namespace = scene.namespace();
    assert_eq!(objects, (0..3).map(|n| format!("Service/{namespace}/bad-{n}")).collect::<Vec<_>>());
    assert!(failures.iter().all(|f| text(f, "/message").contains("spec.ports[0].port")), "{failures:#?}");
    assert_eq!(failed["status"].get("moreFailures"), None);
    assert!(text(&failed, "/status/lastAppliedRevision").starts_with("1@"));
    let writes: Vec<_> = scene.writes(mark).iter().map(|r| r.summary()).collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert_eq!(scene.named("app").await, ["stays"]);
}

#[story]
async fn promise_4_a_bad_first_revision_leaves_at_most_its_namespace() {
    let scene = Scene::begin("bad-first").await;
    let fresh = scene.story.reserve_namespace("bad-first-fresh");
    let objects: String = (0..99).map(|n| config_map(&format!("good-{n}"), "one")).collect();
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {fresh}}}\n---\n");
    let bad = format!("{}{}", bad_service(0), bad_service(1));
    scene.push("app", "1", &format!("{namespace}{objects}{bad}"));
    let mark = scene.mark();
    scene.create("app", json!({"targetNamespace": fresh}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let failures = failed["status"]["failures"].as_array().expect("failures");
    let objects: Vec<String> = failures.iter().map(|failure| text(failure, "/object")).collect();
    assert_eq!(objects, [format!("Service/{fresh}/bad-0"), format!("Service/{fresh}/bad-1")]);
    let beside_inventory =
        scene.writes(mark).into_iter().filter(|r| r.name != "inv-app" && !r.uri.contains("/configmaps?"));
    let written: Vec<_> = beside_inventory.map(|r| (r.verb, r.resource, r.name)).collect();
    assert!(
        written.iter().all(|w| *w == ("patch".into(), "namespaces".into(), fresh.clone())),
        "{written:?}"
    );
    assert!(!written.is_empty());

    // Cured, all of it is applied.
    let objects: String = (0..99).map(|n| config_map(&format!("good-{n}"), "one")).collect();
    let ready = scene.upgraded("app", "2", &format!("{namespace}{objects}")).await;
    assert_eq!(ready["status"]["inventory"]["entries"], 100);
}

#[story]
async fn promise_8_a_refused_secret_is_named_and_its_values_are_not() {
    let scene = Scene::begin("bad-secret").await;
    let _webhook = Webhook::register(&scene.story, Behaviour::Deny("aHVudGVyMg== hunter2 cannot be".into()));
    let secret = |name: &str, rest: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, labels: {{webhook: \"yes\"}}}}\n{rest}\n---\n"
        )
    };
    let objects = [
        secret("denied", "data: {password: aHVudGVyMg==}"),
        secret("config", "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: hunter2}"),
        secret("field", "stringData: {password: hunter2}\nhunter2: hunter2"),
        secret("encoded", "data: {password: \"hunter2!\"}"),
    ];
    scene.push("app", "1", &objects.concat());
    scene.create("app", json!({}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    assert_eq!(failed["status"]["failures"].as_array().map(Vec::len), Some(4), "{failed:#}");
    let event = scene.wait_event("app", "PreflightFailed", &["Secret/"]).await;
    for told in [failed.to_string(), event, scene.operator.log()] {
        assert!(told.contains("Secret/") && told.contains("/denied"), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg"), "{told}");
    }
}

fn immutable(selector: &str, image: &str, ip: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: {selector}}}}}
  template:
    metadata: {{labels: {{app: {selector}}}}}
    spec: {{containers: [{{name: main, image: main}}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: once}}
spec:
  template:
    metadata: {{labels: {{testbed.supercargo.dev/pod: pending}}}}
    spec: {{restartPolicy: Never, containers: [{{name: main, image: {image}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}
---
"
    )
}

const IMMUTABLE: [(&str, &str, &str); 3] =
    [("apps/v1", "deployments", "web"), ("batch/v1", "jobs", "once"), ("v1", "services", "web")];

async fn uids(scene: &Scene<'_>) -> Vec<String> {
    let mut uids = Vec::new();
    for (version, plural, name) in IMMUTABLE {
        let object = scene.story.object(version, plural, name).await;
        uids.push(object.map(|o| text(&o, "/metadata/uid")).unwrap_or_default());
    }
    uids
}

#[story]
async fn an_immutable_field_is_refused_and_with_force_the_object_is_recreated() {
    let scene = Scene::begin("immutable").await;
    scene.install("app", &immutable("one", "main:1", "10.0.0.211"), json!({})).await;
    let before = uids(&scene).await;
    scene.upgrade("app", "2", &immutable("two", "main:2", "10.0.0.212"));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let failures = refused["status"]["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 3, "{failures:#?}");
    for failure in failures {
        let said = text(failure, "/message");
        assert!(said.contains("spec.force") && said.contains("supercargo.dev/force: enabled"), "{said}");
    }
    scene.is_refused_alike("app", &refused).await;
    assert_eq!(uids(&scene).await, before);

    scene.change("app", json!({"force": true}));
    let ready = scene.story.wait_ready("app", "2@").await;
    assert_eq!(ready["status"]["changes"]["configured"], 3, "{}", ready["status"]);
    for (before, after) in before.iter().zip(uids(&scene).await) {
        assert!(!after.is_empty() && *before != after);
    }
    let service = scene.story.object("v1", "services", "web").await.expect("it exists");
    assert_eq!(service["spec"]["clusterIP"], "10.0.0.212");
}

#[story]
async fn an_object_may_ask_for_force_itself_and_an_invalid_one_is_never_deleted() {
    let scene = Scene::begin("force-object").await;
    let labelled = |app: &str, annotation: &str, port: &str| {
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, annotations: {{{annotation}}}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  template:
    metadata: {{labels: {{app: {app}}}}}
    spec: {{containers: [{{name: main, image: main, ports: [{{containerPort: {port}}}]}}]}}
---
"
        )
    };
    let force = "supercargo.dev/force: enabled";
    scene.install("app", &labelled("one", "", "80"), json!({})).await;
    let before = uids(&scene).await;
    scene.upgrade("app", "2", &labelled("two", force, "800000"));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let said = text(&refused, "/status/failures/0/message");
    assert!(
        said.starts_with("Deployment.apps \"web\" is invalid") && said.contains("containerPort"),
        "{said}"
    );
    let again = scene.reconcile("app", "again").await;
    assert_eq!(message(&again, "Ready"), message(&refused, "Ready"), "the same from one retry to the next");
    assert_eq!(uids(&scene).await, before);

    scene.upgraded("app", "3", &labelled("two", force, "80")).await;
    assert_ne!(uids(&scene).await, before);
}

#[story]
async fn promise_6_a_recreation_that_is_held_up_holds_no_worker() {
    let scene = Scene::builder("force-held").await.argument("--concurrency=1").start();
    let sealed = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: sealed, finalizers: [example.com/hold]}}\n\
             immutable: true\ndata: {{a: {value}}}\n---\n"
        )
    };
    scene.install("app", &sealed("one"), json!({"force": true})).await;
    let before = scene.uid("sealed").await;
    scene.upgrade("app", "2", &sealed("two"));
    let deleted = async || {
        let sealed = scene.config_map("sealed").await?;
        sealed["metadata"].get("deletionTimestamp").map(|_| ())
    };
    scene.story.wait_for("the old one is deleted", deleted).await;
    scene.install("other", &config_map("other", "one"), json!({})).await;
    scene.patch("v1", "configmaps", "sealed", json!({"metadata": {"finalizers": null}}));
    scene.story.wait_ready("app", "2@").await;
    assert_ne!(scene.uid("sealed").await, before);
    scene.patch("v1", "configmaps", "sealed", json!({"metadata": {"finalizers": null}}));
}

#[story]
async fn force_never_recreates_what_holds_data() {
    let scene = Scene::begin("force-never").await;
    let group = format!("{}.example.com", scene.namespace());
    let objects = |class: &str, scope: &str| {
        format!(
            "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data}}
spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: things.{group}}}
spec:
  group: {group}
  scope: {scope}
  names: {{plural: things, singular: thing, kind: Thing}}
  versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}]
---
"
        )
    };
    scene.install("app", &objects("one", "Namespaced"), json!({"force": true})).await;
    let mark = scene.mark();
    scene.upgrade("app", "2", &objects("two", "Cluster"));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let failures = refused["status"]["failures"].as_array().expect("failures");
    let kinds: Vec<_> = failures.iter().map(|f| text(f, "/object")).collect();
    assert_eq!(kinds.len(), 2, "{failures:#?}");
    for failure in failures {
        assert!(text(failure, "/message").contains("force never recreates a"), "{failure:#}");
    }
    assert!(scene.writes(mark).is_empty());
    // The definition is not of the namespace.
    scene.upgraded("app", "3", &config_map("last", "one")).await;
}

#[story]
async fn a_webhook_that_denies_is_quoted_and_nothing_is_written() {
    let scene = Scene::begin("denied").await;
    let _webhook = Webhook::register(&scene.story, Behaviour::Deny("it cannot be on a Friday".into()));
    scene.push("app", "1", &format!("{}{}", config_map("good", "one"), reviewed("bad")));
    let mark = scene.mark();
    scene.create("app", json!({}));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let said = message(&refused, "Ready");
    assert!(said.contains("admission webhook") && said.contains("it cannot be on a Friday"), "{said}");
    assert!(said.contains(&format!("ConfigMap/{}/bad", scene.namespace())), "{said}");
    assert!(scene.writes(mark).is_empty());
}

#[story]
async fn a_webhook_that_hangs_is_reported_and_other_releases_go_on() {
    let scene = Scene::begin("hanging").await;
    let webhook = Webhook::register(&scene.story, Behaviour::Hang);
    scene.push("stuck", "1", &format!("{}{}", config_map("good", "one"), reviewed("bad")));
    scene.create("stuck", json!({}));
    let refused = scene.story.wait_condition("stuck", "Ready", "False", "PreflightFailed").await;
    let said = message(&refused, "Ready");
    assert!(said.contains("failed calling webhook") && said.contains(".example.com"), "{said}");
    assert!(scene.config_map("good").await.is_none());
    // While it is tried again and again, others are installed.
    for name in ["one", "two", "three"] {
        scene.install(name, &config_map(name, "one"), json!({})).await;
    }
    let stuck = scene.story.release("stuck").await.expect("it exists");
    assert_eq!(text(&stuck, "/status/conditions/0/status"), "False");
    drop(webhook);
    scene.reconcile("stuck", "again").await;
    scene.story.wait_ready("stuck", "1@").await;
}

#[story]
async fn an_object_decides_whether_it_is_applied_again_or_at_all() {
    let scene = Scene::begin("apply-mode").await;
    let modes = |value: &str| {
        let object = |name: &str, mode: &str| {
            annotated(name, &format!("{{supercargo.dev/apply: {mode}}}")).replace("'one'", value)
        };
        let other = object("theirs", "IfNotPresent");
        format!("{}{other}{}", object("once", "IfNotPresent"), object("never", "Ignore"))
    };
    scene.story.apply(&config_map("theirs", "theirs"));
    scene.install("app", &modes("one"), json!({})).await;
    assert_eq!(scene.data("once").await.as_deref(), Some("one"));
    assert_eq!(scene.data("theirs").await.as_deref(), Some("theirs"));
    assert_eq!(scene.data("never").await, None);
    assert_eq!(scene.named("app").await, ["once"], "what is another's is not in the inventory");

    scene.edit("once", "by hand");
    scene.upgraded("app", "2", &modes("two")).await;
    assert_eq!(scene.data("once").await.as_deref(), Some("by hand"));
    assert_eq!(scene.data("theirs").await.as_deref(), Some("theirs"));

    // One that was applied and is ignored from now on: no change, no correction,
    // and it does not come back.
    let ignored = annotated("once", "{supercargo.dev/apply: Ignore}").replace("'one'", "three");
    scene.upgraded("app", "3", &format!("{ignored}{}", config_map("other", "one"))).await;
    assert_eq!(scene.data("once").await.as_deref(), Some("by hand"));
    scene.story.kubectl(&["delete", "configmap", "once"], "");
    scene.wait_named("app", &["other"]).await;
    assert_eq!(scene.data("once").await, None);

    scene.upgrade("app", "4", &annotated("once", "{supercargo.dev/apply: Sometimes}"));
    let refused = scene.story.wait_condition("app", "Stalled", "True", "ManifestInvalid").await;
    let said = message(&refused, "Ready");
    let object = format!("ConfigMap/{}/once", scene.namespace());
    assert!(
        said.contains(&object) && said.contains("\"Sometimes\"") && said.contains("IfNotPresent"),
        "{said}"
    );
}

/// A Service that its schema takes and its validation refuses.
fn bad_service(number: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: bad-{number}}}\nspec: {{ports: [{{port: 800000}}]}}\n---\n"
    )
}

/// A ConfigMap that the webhook is asked about.
fn reviewed(name: &str) -> String {
    config_map(name, "one").replace("}\ndata", ", labels: {webhook: \"yes\"}}\ndata")
}

async fn wait_attempted(scene: &Scene<'_>, revision: &str) -> Value {
    let attempted = async || {
        let release = scene.story.release("app").await?;
        text(&release, "/status/lastAttemptedRevision").starts_with(revision).then_some(release)
    };
    scene.story.wait_for(&format!("{revision} is attempted"), attempted).await
}

#[story]
async fn what_the_server_cannot_read_is_a_refusal_too() {
    let scene = Scene::begin("unreadable").await;
    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: encoded}\nbinaryData: {a: \"no base64!\"}\n---\n\
               apiVersion: v1\nkind: ConfigMap\nmetadata: {name: field}\ndatas: {a: b}\n---\n\
               apiVersion: v1\nkind: Service\nmetadata: {name: type}\nspec: {ports: [{port: http}]}\n---\n\
               apiVersion: v1\nkind: Service\nmetadata: {name: twice}\nspec: {ports: [{port: 80}, {port: 80}]}\n---\n";
    scene.push("app", "1", &format!("{}{bad}", config_map("good", "one")));
    scene.create("app", json!({}));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let failures = refused["status"]["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 4, "{failures:#?}");
    assert!(failures.iter().all(|f| f["reason"] == "PreflightFailed"), "{failures:#?}");
    assert!(scene.config_map("good").await.is_none());
}
