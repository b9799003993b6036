//! What a run tells of itself: no secret, and no reason outside the closed set.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo::api::reason::Reason;
use supercargo_testbed::registry::{Options, Registry, USERS};

use super::setting::{Scene, config_map};

fn pull_secret(config: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "pull"},
        "stringData": {".dockerconfigjson": config},
    })
    .to_string()
}

/// Everything that the operator wrote anywhere: its log at the most detailed
/// level, its metrics, and all that it left in the namespace but the Secrets.
fn all_that_was_said(scene: &Scene) -> String {
    let kinds = "oar,events,events.events.k8s.io,configmaps,leases";
    let objects = scene.story.kubectl(&["get", kinds, "--show-managed-fields", "-o", "yaml"], "");
    [scene.operator.log(), scene.operator.metrics(), objects].join("\n")
}

#[tokio::test]
async fn promise_8_a_registry_password_and_a_secrets_values_are_told_nowhere() {
    let registry = Registry::start(&Options { credentials: true, ..Options::default() });
    let scene = Scene::with("secrecy", registry, |o| o.env("RUST_LOG", "trace")).await;
    let (user, password, _) = USERS[0];
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {key: the-applied-value}\n---\n";
    scene.registry.push_yaml("app", "1", &(config_map("app", "v", "one") + secret));
    let wrong = "a-wrong-password";
    scene.story.apply(&pull_secret(&scene.registry.docker_config(user, wrong)));
    scene.install("app", json!({"secretRef": {"name": "pull"}, "retryInterval": "1s"}));
    scene.story.wait_condition("app", "Ready", "False", "AuthenticationFailed").await;
    let config = scene.registry.docker_config(user, password);
    scene.story.apply(&pull_secret(&config));
    scene.story.wait_ready("app", "1@").await;
    // A Secret that is changed, refused and deleted passes through every message.
    let edit = r#"{"stringData":{"key":"an-edited-value"}}"#;
    scene.story.kubectl(&["patch", "secret", "app", "--type=merge", "-p", edit], "");
    let put_back = async || {
        let live = scene.story.object("v1", "secrets", "app").await?;
        (live["data"]["key"] == STANDARD.encode("the-applied-value")).then_some(())
    };
    scene.story.wait_for("the Secret is put back", put_back).await;
    let refused = secret.replace("stringData: {key: the-applied-value}", "data: {key: a-refused-value}");
    scene.registry.push_yaml("app", "1", &refused);
    scene.ask("app", "refused");
    scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;

    let said = all_that_was_said(&scene);
    assert!(said.contains("AuthenticationFailed"), "the events and the log are looked at");
    for hidden in [wrong, password, "the-applied-value", "an-edited-value", "a-refused-value"] {
        for form in [hidden.to_owned(), STANDARD.encode(hidden), STANDARD.encode(format!("{user}:{hidden}"))]
        {
            assert!(!said.contains(&form), "{form} was told");
        }
    }
    assert!(!said.contains(&STANDARD.encode(&config)), "the pull Secret was told");
}

#[tokio::test]
async fn promise_11_every_reason_that_is_told_is_of_the_closed_set() {
    let scene = Scene::begin("reasons").await;
    scene.registry.push_yaml("app", "1", &config_map("app", "v", "one"));
    scene.install("app", json!({"retryInterval": "1s"}));
    scene.story.wait_ready("app", "1@").await;
    scene.install("missing", json!({}));
    scene.story.wait_condition("missing", "Ready", "False", "ArtifactNotFound").await;
    scene.registry.push_yaml("broken", "1", "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n");
    scene.install("broken", json!({}));
    scene.story.wait_condition("broken", "Ready", "False", "ManifestInvalid").await;
    let told = async || {
        let list = scene.story.kubectl(&["get", "events.events.k8s.io", "-o", "json"], "");
        let list: Value = serde_json::from_str(&list).ok()?;
        let of_releases = |e: &&Value| e["regarding"]["kind"] == "OCIArtifactRelease";
        let reasons = list["items"].as_array()?.iter().filter(of_releases);
        let reasons: Vec<String> = reasons.filter_map(|e| Some(e["reason"].as_str()?.to_owned())).collect();
        (reasons.len() >= 3).then_some(reasons)
    };
    let mut reasons = scene.story.wait_for("an event of each release", told).await;
    for name in ["app", "missing", "broken"] {
        let release = scene.story.release(name).await.expect("the release");
        let conditions = release["status"]["conditions"].as_array().expect("conditions");
        reasons.extend(conditions.iter().filter_map(|c| Some(c["reason"].as_str()?.to_owned())));
    }
    for line in scene.operator.metrics().lines().filter(|l| l.starts_with("supercargo_reconciles_total{")) {
        let (_, rest) = line.split_once("reason=\"").expect("the label reason");
        reasons.extend(rest.split_once('"').map(|(reason, _)| reason.to_owned()));
    }
    let known: Vec<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    for reason in &reasons {
        assert!(known.contains(&reason.as_str()), "{reason} is not of the closed set");
    }
    for expected in ["ReconciliationSucceeded", "ArtifactNotFound", "ManifestInvalid"] {
        assert!(reasons.iter().any(|r| r == expected), "{expected} was not told: {reasons:?}");
    }
}
