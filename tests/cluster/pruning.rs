//! Objects that leave a revision: deleted, kept, or waited for.

use serde_json::json;
use supercargo_testbed::{Profiles, Story, story};

use crate::scene::{Scene, annotated, config_map, deployment, failing_deployment, message, text};

const PROFILES: Profiles = Profiles::Both;

/// Promise 4 too: a revision that turns unhealthy has lost nothing.
#[story]
async fn what_leaves_is_pruned_and_with_wait_only_after_health() {
    let scene = Scene::begin("prune-health").await;
    let (stays, leaves) = (config_map("stays", "one"), config_map("leaves", "one"));
    let first = format!("{stays}{leaves}{}", deployment("web", "main:1", 1));
    scene.install("app", &first, json!({"wait": true})).await;

    scene.upgrade("app", "2", &format!("{stays}{}", failing_deployment("web", "main:2")));
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    assert!(text(&failed, "/status/lastAttemptedRevision").starts_with("2@"));
    assert!(scene.config_map("leaves").await.is_some(), "an unhealthy revision has lost nothing");
    assert!(scene.named("app").await.contains(&"leaves".to_owned()));

    let ready = scene.upgraded("app", "3", &format!("{stays}{}", deployment("web", "main:3", 1))).await;
    assert_eq!(ready["status"]["changes"]["pruned"], 1, "{ready:#}");
    assert!(scene.config_map("leaves").await.is_none());
    assert_eq!(scene.named("app").await, ["stays", "web"]);
    assert_eq!(ready["status"]["inventory"]["entries"], 2);
}

#[story]
async fn promise_3_an_object_that_opts_out_is_kept_and_stays_in_the_inventory() {
    let scene = Scene::begin("prune-opt-out").await;
    let first =
        format!("{}{}", config_map("stays", "one"), annotated("kept", "{supercargo.dev/prune: disabled}"));
    scene.install("app", &first, json!({})).await;
    let uid = scene.uid("kept").await;
    let ready = scene.upgraded("app", "2", &config_map("stays", "one")).await;
    assert_eq!(ready["status"]["changes"]["pruned"], 0);
    scene.reconcile("app", "again").await;
    assert_eq!(scene.uid("kept").await, uid);
    assert_eq!(scene.named("app").await, ["kept", "stays"]);

    // It comes back, and leaves again.
    scene.upgraded("app", "3", &first).await;
    assert!(scene.inventory("app").await.iter().all(|entry| entry.get("left").is_none()));
    scene.upgraded("app", "4", &config_map("stays", "one")).await;
    assert_eq!(scene.uid("kept").await, uid);

    let no_more = json!({"metadata": {"annotations": {"supercargo.dev/prune": null}}});
    scene.patch("v1", "configmaps", "kept", no_more);
    scene.story.wait_gone("v1", "configmaps", "kept").await;
    scene.wait_named("app", &["stays"]).await;
}

#[story]
async fn prune_false_keeps_what_leaves_until_prune_is_true() {
    let scene = Scene::begin("prune-false").await;
    let first = format!("{}{}", config_map("stays", "one"), config_map("leaves", "one"));
    scene.install("app", &first, json!({"prune": false})).await;
    scene.upgraded("app", "2", &config_map("stays", "one")).await;
    scene.reconcile("app", "again").await;
    assert!(scene.config_map("leaves").await.is_some());
    assert_eq!(scene.named("app").await, ["leaves", "stays"]);

    scene.change("app", json!({"prune": true}));
    scene.story.wait_gone("v1", "configmaps", "leaves").await;
    scene.wait_named("app", &["stays"]).await;
    scene.story.wait_ready("app", "2@").await;
}

#[story]
async fn an_object_under_another_api_version_is_the_same_object() {
    let scene = Scene::begin("prune-version").await;
    let scaler = |version: &str, target: &str| {
        format!(
            "{}apiVersion: autoscaling/{version}
kind: HorizontalPodAutoscaler
metadata: {{name: web}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}
  maxReplicas: 3
  {target}
",
            deployment("web", "main:1", 1)
        )
    };
    scene.install("app", &scaler("v1", "targetCPUUtilizationPercentage: 50"), json!({})).await;
    let uid = async || {
        let scaler = scene.story.object("autoscaling/v2", "horizontalpodautoscalers", "web").await;
        text(&scaler.expect("the autoscaler exists"), "/metadata/uid")
    };
    let before = uid().await;
    let metrics = "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]";
    let ready = scene.upgraded("app", "2", &scaler("v2", metrics)).await;
    assert_eq!(uid().await, before);
    assert_eq!(ready["status"]["changes"]["pruned"], 0);
    let entries = scene.inventory("app").await;
    let scaler = entries.iter().find(|e| text(e, "/id").ends_with("HorizontalPodAutoscaler"));
    assert_eq!(scaler.expect("it is in the inventory")["ver"], "v2");
}

#[story]
async fn promise_2_what_terminates_stays_in_the_inventory_until_it_is_gone() {
    let scene = Scene::begin("prune-terminating").await;
    let held =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/hold]}\n---\n";
    scene.install("app", &format!("{}{held}", config_map("stays", "one")), json!({})).await;
    let ready = scene.upgraded("app", "2", &config_map("stays", "one")).await;
    assert_eq!(ready["status"]["history"][0]["outcome"], "Applied", "{ready:#}");
    let again = scene.reconcile("app", "again").await;
    let said = message(&again, "Ready");
    let going = format!("still deleting ConfigMap/{}/held", scene.namespace());
    assert!(said.starts_with("Applied 1 object of revision 2@") && said.ends_with(&going), "{said}");
    let held = scene.config_map("held").await.expect("its finalizer holds it");
    assert_ne!(text(&held, "/metadata/deletionTimestamp"), "");
    assert_eq!(scene.named("app").await, ["held", "stays"]);

    scene.patch("v1", "configmaps", "held", json!({"metadata": {"finalizers": null}}));
    scene.story.wait_gone("v1", "configmaps", "held").await;
    scene.wait_named("app", &["stays"]).await;
}

#[story]
async fn a_namespace_leaves_with_its_objects() {
    let scene = Scene::begin("prune-namespace").await;
    let other = scene.story.reserve_namespace("prune-namespace-left");
    let inside = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: inside, namespace: {other}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: inside, namespace: {other}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n"
    );
    scene.install("app", &format!("{}{inside}", config_map("stays", "one")), json!({})).await;
    assert_eq!(scene.inventory("app").await.len(), 4);
    let ready = scene.upgraded("app", "2", &config_map("stays", "one")).await;
    assert_eq!(ready["status"]["changes"]["pruned"], 3, "{}", ready["status"]);
    let story: &Story<'_> = &scene.story;
    let gone = async || story.object_in(None, "v1", "namespaces", &other).await.is_none().then_some(());
    story.wait_for("the namespace is gone", gone).await;
    scene.wait_named("app", &["stays"]).await;
}
