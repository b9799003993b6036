//! Fields that are left to others: the replicas of what an autoscaler scales, and
//! those of `drift.ignore`. Whose such a field is changes without a jump.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, deployment, is_own};

const PROFILES: Profiles = Profiles::First("what an autoscaler does does not depend on rights");

/// An autoscaler that never has metrics: it keeps to its bounds and does no more.
fn autoscaler(kind: &str, name: &str, min: u32) -> String {
    format!(
        "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  \
         scaleTargetRef: {{apiVersion: apps/v1, kind: {kind}, name: {name}}}\n  minReplicas: {min}\n  maxReplicas: 20\n  \
         metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}]\n"
    )
}

fn stateful(replicas: u32, image: &str) -> String {
    deployment("db", image, replicas)
        .replace("kind: Deployment", "kind: StatefulSet")
        .replace("spec:\n  replicas", "spec:\n  serviceName: db\n  replicas")
}

/// The replicas that a workload is asked to have.
async fn replicas(scene: &Scene<'_>, plural: &str, name: &str) -> serde_json::Value {
    scene.story.object("apps/v1", plural, name).await.expect("it exists")["spec"]["replicas"].clone()
}

const IMAGE: &str = "/spec/template/spec/containers/0/image";

/// Publishes a revision and waits until it is applied.
async fn upgrade(scene: &Scene<'_>, tag: &str, yaml: &str) {
    scene.push("app", tag, yaml);
    scene.change("app", json!({"ref": {"tag": tag}}));
    scene.story.wait_ready("app", &format!("{tag}@")).await;
}

#[story]
async fn an_autoscaler_joins_and_leaves_without_a_jump() {
    let scene = Scene::begin("scaling-joins").await;
    scene.install("app", &(deployment("web", "web:1", 5) + &stateful(4, "db:1")), json!({})).await;
    let seen =
        async || (replicas(&scene, "deployments", "web").await, replicas(&scene, "statefulsets", "db").await);
    let both = |web: u32, db: u32, image: u32| {
        deployment("web", &format!("web:{image}"), web) + &stateful(db, &format!("db:{image}"))
    };
    let generation = async || {
        let web = scene.story.object("apps/v1", "deployments", "web").await.expect("it exists");
        web["metadata"]["generation"].as_u64().expect("a generation")
    };
    let before = generation().await;
    let scalers = |min: u32| autoscaler("Deployment", "web", min) + &autoscaler("StatefulSet", "db", min);
    upgrade(&scene, "2", &(both(5, 4, 1) + &scalers(2))).await;
    assert_eq!(seen().await, (json!(5), json!(4)));
    assert_eq!(generation().await, before, "the spec has not changed, not even for a moment");

    // Another image, and without replicas, as is recommended beside an autoscaler.
    let bare = both(5, 4, 2).replace("  replicas: 5\n", "").replace("  replicas: 4\n", "");
    upgrade(&scene, "3", &(bare + &scalers(2))).await;
    assert_eq!(seen().await, (json!(5), json!(4)));
    assert_eq!(generation().await, before + 1, "only the image has changed");

    // It scales: the replicas are its own from now on.
    upgrade(&scene, "4", &(both(5, 4, 2) + &scalers(7))).await;
    scene.wait_field("apps/v1", "deployments", "web", "/spec/replicas", &json!(7)).await;
    scene.wait_field("apps/v1", "statefulsets", "db", "/spec/replicas", &json!(7)).await;
    upgrade(&scene, "5", &(both(5, 4, 3) + &scalers(7))).await;
    assert_eq!(seen().await, (json!(7), json!(7)));
    scene.wait_reason("app", "Drifted", "False", "InSync").await;

    // It leaves: where the manifest says how many, that counts again.
    let without = both(5, 4, 3).replace("  replicas: 4\n", "");
    upgrade(&scene, "6", &without).await;
    scene.wait_field("apps/v1", "deployments", "web", "/spec/replicas", &json!(5)).await;
    assert_eq!(replicas(&scene, "statefulsets", "db").await, 7, "and where it says nothing, they stay");
    scene.story.kubectl(&["scale", "deployment/web", "--replicas=3"], "");
    scene.wait_field("apps/v1", "deployments", "web", "/spec/replicas", &json!(5)).await;
}

#[story]
async fn what_is_new_beside_its_autoscaler_begins_as_the_manifest_says() {
    let scene = Scene::begin("scaling-new").await;
    scene
        .install("app", &(deployment("web", "web:1", 5) + &autoscaler("Deployment", "web", 2)), json!({}))
        .await;
    assert_eq!(replicas(&scene, "deployments", "web").await, 5);
    // Whoever scales it by hand has it then, and drift is put back beside it.
    scene.story.kubectl(&["scale", "deployment/web", "--replicas=8"], "");
    scene.story.kubectl(&["set", "image", "deployment/web", "web=wrong:1"], "");
    scene.wait_field("apps/v1", "deployments", "web", IMAGE, &json!("web:1")).await;
    assert_eq!(replicas(&scene, "deployments", "web").await, 8);
    scene.story.kubectl(&["delete", "hpa", "web"], "");
    let back =
        async || scene.story.object("autoscaling/v2", "horizontalpodautoscalers", "web").await.map(|_| ());
    scene.story.wait_for("the autoscaler is made again", back).await;
    assert_eq!(replicas(&scene, "deployments", "web").await, 8);
}

#[story]
async fn a_rule_of_drift_ignore_that_comes_or_goes_takes_effect_at_once() {
    let scene = Scene::begin("scaling-rule").await;
    scene.install("app", &(deployment("web", "web:1", 2) + &deployment("db", "db:1", 1)), json!({})).await;
    let rule = json!([{"target": {"kind": "Deployment", "name": "web"}, "paths": ["/spec/replicas"]}]);
    let settled = async || {
        let handled = async || {
            let release = scene.story.release("app").await?;
            let ready = supercargo_testbed::story::condition(&release, "Ready")?;
            let current = release["status"]["observedGeneration"] == release["metadata"]["generation"];
            (current && ready.status == "True").then_some(())
        };
        scene.story.wait_for("the spec is acted on", handled).await;
    };
    scene.change("app", json!({"drift": {"ignore": rule}}));
    settled().await;
    assert_eq!(replicas(&scene, "deployments", "web").await, 2);
    scene.story.kubectl(&["scale", "deployment/web", "--replicas=6"], "");
    // What the operator was told before this, it has seen when this is corrected.
    scene.story.kubectl(&["scale", "deployment/db", "--replicas=3"], "");
    scene.wait_field("apps/v1", "deployments", "db", "/spec/replicas", &json!(1)).await;
    assert_eq!(replicas(&scene, "deployments", "web").await, 6);

    let mark = scene.mark();
    scene.change("app", json!({"drift": {"ignore": null}}));
    scene.wait_field("apps/v1", "deployments", "web", "/spec/replicas", &json!(2)).await;
    let writes = scene.object_writes(mark);
    assert_eq!(writes, ["patch deployments/web"], "only what the rule was about");
    scene.story.kubectl(&["scale", "deployment/web", "--replicas=6"], "");
    scene.wait_field("apps/v1", "deployments", "web", "/spec/replicas", &json!(2)).await;
    let others =
        scene.requests(mark).into_iter().filter(|r| r.writes() && is_own(r) && r.resource == "configmaps");
    assert!(others.count() <= 3, "the inventory says it once for each of the two");
}
