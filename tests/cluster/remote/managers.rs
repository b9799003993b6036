//! Two clusters that manage a third one, or one that manages itself: releases of one name do not take
//! each other's objects for their own.

use serde_json::json;
use supercargo_testbed::operator::Options;
use supercargo_testbed::{Bed, Profiles, Story, story};

use super::There;
use crate::scene::{BINARY, Scene, config_map};

const PROFILES: Profiles = Profiles::First("whose an object is does not depend on rights");

#[story]
async fn a_release_of_the_same_name_in_the_managed_cluster_is_another_release() {
    let bed = Bed::start();
    bed.install_crds();
    let there = There::built(Scene::builder("remote-namesake").await, &bed);
    let (scene, namespace) = (&there.scene, there.scene.namespace().to_owned());
    // The managed cluster has an operator of its own, for the same namespace.
    let local = Story::on(&bed, "remote-local-operator").await;
    let account = local.operator_account();
    let mut operator = Options::new(BINARY, &account).watching(&[&namespace]).start();
    operator.wait_ready();
    scene.push("app", "1", &config_map("a", "theirs"));
    let spec = json!({"retryInterval": "1s"});
    let release = |name: &str| scene.release(name, spec.clone()).to_string();
    bed.kubectl(&["-n", &namespace, "apply", "-f", "-"], &release("app"));
    there.wait_data("a", Some("theirs")).await;

    // Ours of the same namespace and name wants the same object.
    scene.push("app", "2", &config_map("a", "ours"));
    scene.create("app", There::spec(json!({"ref": {"tag": "2"}})));
    let message = scene.wait_reason("app", "Ready", "False", "OwnershipConflict").await;
    assert!(message.contains("belongs to a release that is managed from that cluster itself"), "{message}");
    assert_eq!(there.data("a").as_deref(), Some("theirs"));
    // Its deletion deletes nothing.
    scene.story.kubectl(&["delete", "ociartifactrelease", "app", "--wait=false"], "");
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    assert_eq!(there.data("a").as_deref(), Some("theirs"));

    // The other way round.
    scene.install("other", &config_map("b", "ours"), There::spec(json!({}))).await;
    bed.kubectl(&["-n", &namespace, "apply", "-f", "-"], &release("other"));
    let uid = scene.story.object_in(None, "v1", "namespaces", "kube-system").await.expect("it exists");
    let says = format!(
        "belongs to a release that is managed from the cluster with the id {}",
        uid["metadata"]["uid"].as_str().expect("a uid")
    );
    let path =
        ["-n", &namespace, "get", "ociartifactrelease", "other", "-o", "jsonpath={.status.conditions}"];
    local
        .wait_for("the local release is refused", async || {
            let output = bed.try_kubectl(&path, "");
            String::from_utf8_lossy(&output.stdout).contains(&says).then_some(())
        })
        .await;
    assert_eq!(there.data("b").as_deref(), Some("ours"));
    // Drift of ours is still corrected, and theirs does not touch it.
    bed.kubectl(&["-n", &namespace, "delete", "configmap", "b"], "");
    there.wait_data("b", Some("ours")).await;
}
