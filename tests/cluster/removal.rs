//! The order of a removal: what holds an object goes after it.

use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, config_map, deployment, message};

const PROFILES: Profiles = Profiles::Both;

const RELEASES: (&str, &str) = ("supercargo.dev/v1alpha1", "ociartifactreleases");

/// An operator, its definition and an object of it that only it lets go.
fn operated(scene: &Scene<'_>) -> String {
    let group = scene.group();
    let versions = "[{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]";
    let definition = scene.widgets(&format!(" {versions}\n"));
    format!(
        "{definition}apiVersion: {group}/v1
kind: Widget
metadata: {{name: w, finalizers: [example.com/hold]}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: operator}}
---
{}",
        deployment("operator", "main:1", 1)
    )
}

/// What is there of it: the object, the operator, its account, its definition.
async fn there(scene: &Scene<'_>) -> [bool; 4] {
    let (story, group) = (&scene.story, scene.group());
    let (definitions, name) = ("customresourcedefinitions", format!("widgets.{group}"));
    [
        story.object(&format!("{group}/v1"), "widgets", "w").await.is_some(),
        story.object("apps/v1", "deployments", "operator").await.is_some(),
        story.object("v1", "serviceaccounts", "operator").await.is_some(),
        story.object_in(None, "apiextensions.k8s.io/v1", definitions, &name).await.is_some(),
    ]
}

/// Does what the operator would do.
fn let_go(scene: &Scene<'_>) {
    let kind = format!("widgets.{}", scene.group());
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    scene.story.kubectl(&["patch", &kind, "w", "--type=merge", "-p", patch], "");
}

/// Waits until Ready says that what remains comes after the held object.
async fn wait_held_up(scene: &Scene<'_>, status: &str, reason: &str) -> Value {
    let holder = format!("waits for Widget/{}/w (waiting for finalizer example.com/hold)", scene.namespace());
    scene
        .story
        .wait_for(&format!("Ready={status} ({reason}) says {holder}"), async || {
            let release = scene.story.release("app").await?;
            let ready = condition(&release, "Ready")?;
            let is_so = ready.status == status && ready.reason == reason && ready.message.contains(&holder);
            is_so.then_some(release)
        })
        .await
}

#[story]
async fn what_leaves_goes_before_the_operator_that_clears_its_finalizer() {
    let mut scene = Scene::begin("removal-prune").await;
    scene.install("app", &(operated(&scene) + &config_map("stays", "one")), json!({})).await;
    scene.upgrade("app", "2", &config_map("stays", "one"));
    let ready = wait_held_up(&scene, "True", "ReconciliationSucceeded").await;
    let said = message(&ready, "Ready");
    assert!(said.contains("Applied 1 object of revision 2@"), "{said}");
    assert!(said.contains("; deletion of 3 objects waits for "), "{said}");
    assert_eq!(there(&scene).await, [true; 4]);
    assert_eq!(scene.named("app").await.len(), 5);
    // Nor does the next operator forget it.
    scene.replace_operator(async |_| {}).await;
    scene.reconcile("app", "again").await;
    wait_held_up(&scene, "True", "ReconciliationSucceeded").await;
    assert_eq!(there(&scene).await, [true; 4]);

    let mark = scene.mark();
    let_go(&scene);
    let gone = async || (there(&scene).await == [false; 4]).then_some(());
    scene.story.wait_for("everything that left is gone", gone).await;
    scene.wait_named("app", &["stays"]).await;
    let deleted: Vec<String> =
        scene.writes(mark).into_iter().filter(|r| r.verb == "delete").map(|r| r.resource).collect();
    assert_eq!(deleted, ["deployments", "serviceaccounts", "customresourcedefinitions"]);
}

#[story]
async fn a_deleted_release_keeps_the_operator_until_its_objects_are_gone_and_holds_no_worker() {
    let mut scene = Scene::builder("removal-end").await.argument("--concurrency=1").start();
    scene.install("app", &operated(&scene), json!({"retryInterval": "1h"})).await;
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    wait_held_up(&scene, "False", "TerminationPending").await;
    assert_eq!(there(&scene).await, [true; 4]);
    scene.install("other", &config_map("other", "one"), json!({})).await;
    scene.replace_operator(async |_| {}).await;
    // It is asked anew by the one that has started.
    let mark = scene.mark();
    let asked = async || {
        let requests = scene.story.bed().audit().since(mark, &scene.story.operator_account().user());
        requests.iter().any(|r| r.verb == "get" && r.resource == "widgets" && r.name == "w").then_some(())
    };
    scene.story.wait_for("the new operator has looked", asked).await;
    assert_eq!(there(&scene).await, [true; 4]);
    let_go(&scene);
    scene.story.wait_gone(RELEASES.0, RELEASES.1, "app").await;
    assert_eq!(there(&scene).await[..3], [false; 3]);
    assert!(scene.config_map("inv-app").await.is_none());
}

#[story]
async fn a_removal_that_is_held_up_for_too_long_has_failed_and_goes_on_when_it_can() {
    let scene = Scene::begin("removal-late").await;
    let spec = json!({"timeout": "1s"});
    scene.install("app", &(operated(&scene) + &config_map("stays", "one")), spec).await;
    scene.upgrade("app", "2", &config_map("stays", "one"));
    let failed = wait_held_up(&scene, "False", "PruneFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.contains(", longer than spec.timeout (1s)"), "{said}");
    assert_eq!(there(&scene).await, [true; 4]);
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    scene.wait_says("app", "Ready", &["spec.deletionPolicy to Orphan"]).await;
    assert_eq!(there(&scene).await, [true; 4]);
    let_go(&scene);
    scene.story.wait_gone(RELEASES.0, RELEASES.1, "app").await;
    assert_eq!(there(&scene).await[..3], [false; 3]);
}
