//! What a release does in another cluster: the same as at home, and nothing at home.

use serde_json::{Value, json};
use supercargo_testbed::audit::Request;
use supercargo_testbed::{Profiles, story};

use super::There;
use crate::scene::{config_map, deployment, failing_deployment, is_own, text};
use crate::steps::{record, step};

const PROFILES: Profiles = Profiles::Both;

fn both(first: &str, second: &str) -> String {
    config_map("a", first) + &config_map("b", second)
}

/// What the operator asks of its own cluster about objects that are none of its own.
fn strays(requests: &[Request]) -> Vec<String> {
    let names = ["secrets", "serviceaccounts", "namespaces", "customresourcedefinitions"];
    let of_spec = |request: &&Request| names.contains(&request.resource.as_str());
    let about = requests.iter().filter(|request| !request.resource.is_empty() && !is_own(request));
    about.filter(|request| !of_spec(request)).map(Request::summary).collect()
}

#[story]
async fn a_release_lives_in_the_other_cluster_and_its_records_at_home() {
    let there = There::begin("remote-life").await;
    let scene = &there.scene;
    let (home, remote) = (scene.mark(), there.bed.audit().mark());
    scene.push("app", "1", &both("one", "one"));
    scene.create("app", There::spec(json!({"wait": true, "interval": "1h"})));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!((there.data("a").as_deref(), there.data("b").as_deref()), (Some("one"), Some("one")));
    assert_eq!(scene.data("a").await, None, "nothing is written at home");
    assert_eq!(scene.named("app").await, ["a", "b"]);

    // The objects name the cluster that manages them, and the inventory names theirs.
    let uid = scene.story.object_in(None, "v1", "namespaces", "kube-system").await.expect("it exists");
    let there_uid =
        there.bed.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"], "");
    let a = there.config_map("a").expect("it exists");
    assert_eq!(a["metadata"]["labels"]["supercargo.dev/cluster"], uid["metadata"]["uid"]);
    let inventory = scene.config_map("inv-app").await.expect("it exists");
    let place: Value = serde_json::from_str(&text(&inventory, "/data/cluster")).expect("it is JSON");
    assert_eq!(
        (place["server"].as_str(), place["uid"].as_str()),
        (Some(there.bed.url()), Some(there_uid.as_str()))
    );

    // Upgrade, drift and prune.
    scene.upgraded("app", "2", &both("two", "two")).await;
    assert_eq!(there.data("a").as_deref(), Some("two"));
    let namespace = scene.namespace();
    let patch = r#"{"data":{"key":"by hand"}}"#;
    there.bed.kubectl(&["-n", namespace, "patch", "configmap", "a", "--type=merge", "-p", patch], "");
    there.wait_data("a", Some("two")).await;
    there.bed.kubectl(&["-n", namespace, "delete", "configmap", "b"], "");
    there.wait_data("b", Some("two")).await;
    scene.upgraded("app", "3", &config_map("a", "three")).await;
    there.wait_data("b", None).await;
    scene.wait_named("app", &["a"]).await;

    // Deletion.
    scene.story.kubectl(&["delete", "ociartifactrelease", "app", "--wait=false"], "");
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    there.wait_data("a", None).await;
    assert!(scene.config_map("inv-app").await.is_none());

    // Who was asked for what: at home nothing about objects, there nothing about the release.
    assert_eq!(strays(&scene.requests(home)), Vec::<String>::new());
    let asked = there.requests(remote);
    let kinds = ["ociartifactreleases", "leases", "events", "secrets"];
    let about_us =
        |request: &&Request| kinds.contains(&request.resource.as_str()) || request.name.starts_with("inv-");
    let wrong: Vec<String> = asked.iter().filter(about_us).map(Request::summary).collect();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(asked.iter().any(Request::writes), "the objects are written there");
}

#[story]
async fn nothing_is_asked_of_either_cluster_while_nothing_changes() {
    let there = There::begin("remote-quiet").await;
    let scene = &there.scene;
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", There::spec(json!({"interval": "10s", "wait": true})));
    scene.story.wait_ready("app", "1@").await;
    // A run without a change, and the watches are there.
    scene.reconcile("app", "first").await;
    let remote = there.bed.audit().mark();
    scene.reconcile("app", "second").await;
    let asked: Vec<String> =
        there.requests(remote).iter().filter(|r| r.verb != "watch").map(Request::summary).collect();
    // A person asked: the account is checked, and no object is read or written.
    let reads: Vec<&String> = asked.iter().filter(|r| !r.contains("serviceaccounts")).collect();
    assert_eq!(reads, Vec::<&String>::new());
}

#[story]
async fn health_and_pods_are_those_of_the_other_cluster() {
    let there = There::begin("remote-health").await;
    let scene = &there.scene;
    scene.push("app", "1", &deployment("web", "registry.example/web:1", 1));
    scene.create("app", There::spec(json!({"wait": true})));
    scene.story.wait_ready("app", "1@").await;
    scene.wait_reason("app", "Healthy", "True", "Healthy").await;
    let pods = ["-n", scene.namespace(), "get", "pods", "-o", "name"];
    assert_eq!(there.bed.kubectl(&pods, "").lines().count(), 1);
    assert_eq!(scene.story.kubectl(&["get", "pods", "-o", "name"], ""), "");
    // A failing pod is an early verdict there, too.
    scene.push("app", "2", &failing_deployment("web", "registry.example/web:2"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_reason("app", "Ready", "False", "HealthCheckFailed").await;
}

#[story]
async fn steps_definitions_and_the_way_back_are_those_of_the_other_cluster() {
    let there = There::begin("remote-steps").await;
    let scene = &there.scene;
    let (namespace, group) = (scene.namespace(), scene.group());
    let schema = "{openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}";
    let versions = format!("\n  - {{name: v1, served: true, storage: true, schema: {schema}}}\n");
    let widget = format!("---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: one}}\n---\n");
    let kinds = scene.widgets(&versions) + &widget;
    let web = deployment("web", "registry.example/web:1", 1);
    scene.push("app", "1", &(kinds.clone() + &step("before", "migrate", "", "") + &web));
    scene.create("app", There::spec(json!({"wait": true, "rollback": {"mode": "OnFailure"}})));
    let release = scene.story.wait_ready("app", "1@").await;
    assert_eq!(record(&release, "migrate")["outcome"], "Succeeded", "{release}");
    let exists = |what: &str| {
        there.bed.try_kubectl(&["-n", namespace, "get", what, "-o", "name"], "").status.success()
    };
    assert!(exists("job/migrate") && exists(&format!("widgets.{group}/one")));
    assert_eq!(scene.story.kubectl(&["get", "jobs", "-o", "name"], ""), "");
    // A revision that fails there is gone back from, there.
    scene.upgrade("app", "2", &(kinds + &failing_deployment("web", "registry.example/web:2")));
    scene.wait_reason("app", "Ready", "False", "RolledBack").await;
    let path = "jsonpath={.spec.template.spec.containers[0].image}";
    let image = there.bed.kubectl(&["-n", namespace, "get", "deployment", "web", "-o", path], "");
    assert_eq!(image, "registry.example/web:1");
    scene.story.kubectl(&["delete", "ociartifactrelease", "app", "--wait=false"], "");
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    assert!(!exists("deployment/web") && !exists(&format!("crd/widgets.{group}")));
}
