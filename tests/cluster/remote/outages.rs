//! The other cluster away: killed amid a run, gone for good, silent. Nothing is judged or forgotten,
//! and no other release waits.

use std::time::Duration;

use serde_json::json;
use supercargo_testbed::bed::kubectl;
use supercargo_testbed::proxy::{Moment, Seen};
use supercargo_testbed::{Bed, Profiles, Proxy, story, within};

use super::{There, shared};
use crate::scene::{Scene, config_map, message};

const PROFILES: Profiles = Profiles::First("what is away does not depend on rights");

const LIMIT: Duration = Duration::from_secs(60);

fn configs(count: usize, value: &str) -> String {
    (0..count).map(|n| config_map(&format!("c{n:02}"), value)).collect()
}

fn applies(seen: &Seen) -> bool {
    seen.method == "PATCH" && seen.writes() && seen.path.contains("/configmaps/c")
}

#[story]
async fn a_cluster_that_is_killed_amid_an_apply_is_waited_for_and_the_apply_goes_on() {
    let bed = Bed::start();
    let proxy = Proxy::before_api_server(&bed);
    let there = There::built(Scene::builder("remote-killed").await, &bed);
    let scene = &there.scene;
    // By a token: a certificate does not pass the proxy.
    there.give(&proxy.kubeconfig(&bed.admin_kubeconfig()));
    scene.install("app", &configs(30, "one"), There::spec(json!({"wait": true, "interval": "1h"}))).await;
    proxy.hold_from(10, Moment::Before, applies);
    scene.upgrade("app", "2", &(configs(30, "two") + &config_map("new", "two")));
    assert!(proxy.wait_held(LIMIT, Moment::Before).is_some(), "no apply came");
    bed.stop_api_server();
    proxy.discard();
    proxy.pass_all();
    let told = scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    assert!(told.contains("restore it, or renew the kubeconfig of the release"), "{told}");
    scene.wait_reason("app", "Healthy", "Unknown", "ClusterUnreachable").await;
    scene.wait_reason("app", "Drifted", "Unknown", "ClusterUnreachable").await;
    let release = scene.story.release("app").await.expect("it exists");
    // No verdict, no way back, nothing forgotten.
    assert_eq!(release["status"]["quarantine"], serde_json::Value::Null, "{release}");
    assert_eq!(scene.named("app").await.len(), 31);
    bed.start_api_server();
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(there.data("c29").as_deref(), Some("two"));
    assert_eq!(there.data("new").as_deref(), Some("two"));
    scene.wait_reason("app", "Healthy", "True", "Healthy").await;
    // Drift is corrected again, by the same watches.
    let namespace = scene.namespace();
    bed.kubectl(&["-n", namespace, "delete", "configmap", "c07"], "");
    there.wait_data("c07", Some("two")).await;
}

#[story]
async fn a_cluster_that_goes_away_between_runs_is_told_at_once() {
    let bed = Bed::start();
    let there = There::built(Scene::builder("remote-gone").await, &bed);
    let scene = &there.scene;
    let spec = json!({"wait": true, "interval": "1h", "retryInterval": "1h"});
    scene.install("app", &config_map("a", "one"), There::spec(spec)).await;
    bed.stop_api_server();
    // The interval is an hour: its watch has told it.
    scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    let away = "supercargo_remote_clusters_unreachable";
    assert_eq!(scene.operator.metric(away), Some(1.0));
    // Deletion waits, and says the two ways out.
    scene.story.kubectl(&["delete", "ociartifactrelease", "app", "--wait=false"], "");
    let says =
        ["the release is kept until its objects there are deleted", "set spec.deletionPolicy to Orphan"];
    scene.wait_says("app", "Ready", &says).await;
    assert_eq!(scene.named("app").await, ["a"]);
    bed.start_api_server();
    // The retry interval is an hour, too: a probe has found it.
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    there.wait_data("a", None).await;

    assert_eq!(scene.operator.metric(away), Some(0.0));

    // The other way out.
    scene.install("app", &config_map("a", "one"), There::spec(json!({"interval": "1h"}))).await;
    bed.stop_api_server();
    scene.story.kubectl(&["delete", "ociartifactrelease", "app", "--wait=false"], "");
    scene.wait_says("app", "Ready", &["set spec.deletionPolicy to Orphan"]).await;
    scene.change("app", json!({"deletionPolicy": "Orphan"}));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    assert!(scene.config_map("inv-app").await.is_none());
    bed.start_api_server();
    assert_eq!(there.data("a").as_deref(), Some("one"));
}

#[story]
async fn clusters_that_are_dead_delay_no_release_of_this_one() {
    let builder = Scene::builder("remote-dead").await.argument("--concurrency=1");
    let there = There::built(builder, shared());
    let scene = &there.scene;
    // One hangs amid an apply; one accepts connections and says nothing; one refuses them.
    let slow = Proxy::before_api_server(shared());
    let silent = Proxy::before_api_server(shared());
    silent.silent(true);
    let refused = Proxy::before_api_server(shared());
    refused.refuse();
    let give = |name: &str, proxy: &Proxy| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"value": proxy.kubeconfig(&shared().admin_kubeconfig())}});
        scene.story.apply(&secret.to_string());
        scene.push(name, "1", &config_map(&format!("c-{name}"), "one"));
        scene.create(name, json!({"kubeConfig": {"secretRef": {"name": name}}}));
    };
    slow.hold_from(1, Moment::Before, applies);
    give("slow", &slow);
    assert!(slow.wait_held(LIMIT, Moment::Before).is_some(), "no apply came");
    give("silent", &silent);
    give("refused", &refused);
    // With one worker for this cluster, releases here are installed and upgraded meanwhile.
    scene.install("local", &config_map("a", "one"), json!({})).await;
    scene.upgraded("local", "2", &config_map("a", "two")).await;
    // And in another cluster that answers.
    scene.install("remote", &config_map("b", "one"), There::spec(json!({}))).await;
    assert!(slow.wait_held(Duration::ZERO, Moment::Before).is_some(), "it still hangs");
    scene.wait_reason("silent", "Ready", "False", "ClusterUnreachable").await;
    scene.wait_reason("refused", "Ready", "False", "ClusterUnreachable").await;
    // They come back by themselves.
    slow.pass_all();
    slow.release();
    scene.story.wait_ready("slow", "1@").await;
    silent.silent(false);
    scene.story.wait_ready("silent", "1@").await;
    let mut refused = refused;
    refused.listen();
    scene.story.wait_ready("refused", "1@").await;
}

#[story]
async fn a_rotation_of_the_secret_reconnects_at_once() {
    let there = There::begin("remote-rotation").await;
    let scene = &there.scene;
    let namespace = scene.namespace().to_owned();
    // A token of an account there, revoked by the deletion of the account.
    let token = |name: &str| {
        there.bed.kubectl(&["-n", &namespace, "create", "serviceaccount", name], "");
        let binding = format!("{name}-{namespace}");
        let account = format!("--serviceaccount={namespace}:{name}");
        let bind = ["create", "clusterrolebinding", &binding, "--clusterrole=cluster-admin", &account];
        there.bed.kubectl(&bind, "");
        there.bed.kubeconfig_for_token(&there.bed.service_account_token(&namespace, name))
    };
    there.give(&token("first"));
    let spec = json!({"wait": true, "interval": "1h", "retryInterval": "1h"});
    scene.install("app", &config_map("a", "one"), There::spec(spec)).await;
    // The new credentials come before the old ones end: nobody notices.
    let second = token("second");
    let before = there.bed.audit().mark();
    there.give(&second);
    let user = format!("system:serviceaccount:{namespace}:second");
    let used = async || (!there.bed.audit().since(before, &user).is_empty()).then_some(());
    scene.story.wait_for("the new credentials are used", used).await;
    there.bed.kubectl(&["-n", &namespace, "delete", "serviceaccount", "first"], "");
    scene.upgraded("app", "2", &config_map("a", "two")).await;
    assert_eq!(there.data("a").as_deref(), Some("two"));
    // The old ones end first: told, and mended by the Secret alone.
    let file = scene.operator.cache().with_file_name("second");
    std::fs::write(&file, &second).expect("write a file");
    there.bed.kubectl(&["-n", &namespace, "delete", "serviceaccount", "second"], "");
    let refused = || !kubectl(&file, &["get", "--raw", "/version"], "").status.success();
    assert!(within(LIMIT, refused), "the API server forgets tokens");
    scene.upgrade("app", "3", &config_map("a", "three"));
    scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    let release = scene.story.release("app").await.expect("it exists");
    assert!(message(&release, "Ready").contains("401 Unauthorized"), "{release}");
    there.give(&token("third"));
    scene.story.wait_ready("app", "3@").await;
    assert_eq!(there.data("a").as_deref(), Some("three"));
    for name in ["first", "second", "third"] {
        there.bed.kubectl(&["delete", "clusterrolebinding", &format!("{name}-{namespace}")], "");
    }
}
