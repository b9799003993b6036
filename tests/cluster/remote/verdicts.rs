//! What another cluster says, or something before it, and what that means: no verdict about a revision,
//! and an outage only where the API server itself does not answer.

use serde_json::{Value, json};
use supercargo_testbed::proxy::{Fate, Seen};
use supercargo_testbed::{Profiles, Proxy, story};

use super::{There, shared};
use crate::scene::{Scene, config_map, deployment, message};

const PROFILES: Profiles = Profiles::First("what an answer means does not depend on rights");

const AWAY: &str = "supercargo_remote_clusters_unreachable";

/// A scene whose release reaches the other cluster through a proxy.
async fn through(name: &str) -> (There<'static>, Proxy) {
    let proxy = Proxy::before_api_server(shared());
    let there = There::built(Scene::builder(name).await, shared());
    // By a token: a certificate does not pass the proxy.
    there.give(&proxy.kubeconfig(&shared().admin_kubeconfig()));
    (there, proxy)
}

#[story]
async fn credentials_that_end_amid_a_wait_are_no_verdict() {
    let (there, proxy) = through("remote-expired").await;
    let scene = &there.scene;
    let spec = json!({"wait": true, "timeout": "1m", "interval": "1h", "retryInterval": "1s",
        "rollback": {"mode": "OnFailure"}});
    scene.install("app", &deployment("web", "registry.example/web:1", 1), There::spec(spec)).await;
    let mut is_applied = false;
    proxy.rule(move |seen: &Seen| {
        if !seen.path.contains("/deployments/web") {
            return Fate::Pass;
        }
        is_applied |= seen.method == "PATCH" && seen.writes();
        match is_applied && seen.method == "GET" {
            true => Fate::Answer(
                401,
                json!({"kind": "Status", "message": "Unauthorized", "code": 401}).to_string(),
            ),
            false => Fate::Pass,
        }
    });
    scene.upgrade("app", "2", &deployment("web", "registry.example/web:2", 1));
    let told = scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    assert!(told.contains("401 Unauthorized"), "{told}");
    let release = scene.story.release("app").await.expect("it exists");
    assert_eq!(release["status"]["quarantine"], Value::Null, "{release}");
    let path = "jsonpath={.spec.template.spec.containers[0].image}";
    let image = there.bed.kubectl(&["-n", scene.namespace(), "get", "deployment", "web", "-o", path], "");
    assert_eq!(image, "registry.example/web:2", "it is not taken back");
    assert_eq!(scene.operator.metric(AWAY), Some(0.0), "the API server answers");
    proxy.pass_all();
    scene.story.wait_ready("app", "2@").await;
}

#[story]
async fn a_load_balancer_that_answers_for_a_dead_api_server_is_an_outage() {
    let (there, proxy) = through("remote-balancer").await;
    let scene = &there.scene;
    let spec = json!({"interval": "1h", "retryInterval": "1h"});
    scene.install("app", &config_map("a", "one"), There::spec(spec)).await;
    proxy.rule(|_: &Seen| Fate::Answer(502, "<html>Bad Gateway</html>".to_owned()));
    scene.upgrade("app", "2", &config_map("a", "two"));
    scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    scene
        .story
        .wait_for("requests end", async || (scene.operator.metric(AWAY) == Some(1.0)).then_some(()))
        .await;
    // The retry interval is an hour: a probe finds it.
    proxy.pass_all();
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(there.data("a").as_deref(), Some("two"));
    assert_eq!(scene.operator.metric(AWAY), Some(0.0));
}

#[story]
async fn an_aggregated_api_that_is_away_is_no_outage_of_the_cluster() {
    let (there, proxy) = through("remote-aggregated").await;
    let scene = &there.scene;
    let spec = || There::spec(json!({"interval": "1h", "retryInterval": "1s"}));
    scene.install("other", &config_map("b", "one"), spec()).await;
    // As the API server answers for it: some paths, and in plain text.
    proxy.rule(|seen: &Seen| match seen.path.contains("/configmaps/a") {
        true => Fate::Answer(503, "service unavailable\n".to_owned()),
        false => Fate::Pass,
    });
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", spec());
    scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    // The API server was asked, and answers: releases that do not need the other API continue.
    let asked = async || (proxy.count(|seen| seen.path == "/version") > 0).then_some(());
    scene.story.wait_for("the API server is asked", asked).await;
    scene.upgraded("other", "2", &config_map("b", "two")).await;
    assert_eq!(scene.operator.metric(AWAY), Some(0.0));
    proxy.pass_all();
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn a_removal_that_the_cluster_does_not_answer_waits_and_says_the_ways_out() {
    let (there, proxy) = through("remote-removal").await;
    let scene = &there.scene;
    let spec = json!({"interval": "1h", "retryInterval": "1s"});
    scene.install("app", &(config_map("a", "one") + &config_map("b", "one")), There::spec(spec)).await;
    proxy.rule(|seen: &Seen| match seen.method == "DELETE" {
        true => Fate::Answer(504, String::new()),
        false => Fate::Pass,
    });
    // What leaves the revision.
    scene.upgrade("app", "2", &config_map("a", "two"));
    scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    assert_eq!(scene.named("app").await, ["a", "b"]);
    // And all of it.
    scene.story.kubectl(&["delete", "ociartifactrelease", "app", "--wait=false"], "");
    let says =
        ["the release is kept until its objects there are deleted", "set spec.deletionPolicy to Orphan"];
    scene.wait_says("app", "Ready", &says).await;
    let release = scene.story.release("app").await.expect("it is kept");
    assert!(message(&release, "Ready").starts_with("the cluster "), "{release}");
    proxy.pass_all();
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    there.wait_data("b", None).await;
}
