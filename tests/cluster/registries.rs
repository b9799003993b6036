//! Registries that are away, refuse, or lie; and whose credentials open what.

use bytes::Bytes;
use serde_json::json;
use supercargo::domain::artifact::digest::shortened;
use supercargo_testbed::certificates::Authority;
use supercargo_testbed::operator::Options as Operator;
use supercargo_testbed::proxy::Fate;
use supercargo_testbed::registry::{Options, Registry, USERS};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Proxy, Story, story};

use super::scene::{BINARY, Scene, config_map, release};

const PROFILES: Profiles = Profiles::First("what registries answer does not depend on rights");

fn private() -> Registry {
    Registry::start(&Options { credentials: true, ..Options::default() })
}

/// A pull Secret as YAML.
fn pull_secret(registry: &Registry, name: &str, user: &str, password: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name},
        "stringData": {".dockerconfigjson": registry.docker_config(user, password)},
    })
    .to_string()
}

#[story]
async fn away_at_an_interval_it_stays_ready_and_drift_is_still_corrected() {
    let scene = Scene::builder("registry-away").await.own_registry(Registry::plain()).slow_retries().start();
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", json!({"retryInterval": "1s"}));
    scene.story.wait_ready("app", "1@").await;
    scene.registry().stop();
    scene.ask("app", "first");
    let release = scene.wait_message("app", "True", "cannot check for updates: registry").await;
    let message = condition(&release, "Ready").expect("ready").message;
    assert!(
        message.contains(&format!("registry {} is unavailable: cannot connect", scene.registry().host())),
        "{message}"
    );
    assert_eq!(release["status"]["lastHandledReconcileAt"], "first");
    scene.edit("app", "by hand");
    scene.wait_data("app", "one").await;
    scene.story.kubectl(&["delete", "configmap", "app"], "");
    scene.wait_data("app", "one").await;
    let release = scene.story.release("app").await.expect("the release");
    let ready = condition(&release, "Ready").expect("ready");
    assert!(ready.status == "True" && ready.message.contains("cannot check for updates"), "{ready:?}");

    // It comes back by itself, long before the interval of 5 minutes.
    scene.registry().resume();
    let digest = scene.push("app", "1", &config_map("app", "two"));
    scene.wait_data("app", "two").await;
    let release = scene.story.wait_ready("app", &digest).await;
    let message = condition(&release, "Ready").expect("ready").message;
    assert!(!message.contains("cannot check for updates"), "{message}");
}

#[story]
async fn a_registry_that_is_back_is_found_without_waiting_for_a_retry() {
    let scene = Scene::builder("registry-back").await.own_registry(Registry::plain()).slow_retries().start();
    for name in ["one", "two", "new"] {
        scene.push(name, "1", &config_map(name, "1"));
    }
    // Nothing here waits for a retry of its own, as after an outage of hours.
    let patient = json!({"retryInterval": "1h", "interval": "1h"});
    for name in ["one", "two"] {
        scene.create(name, patient.clone());
        scene.story.wait_ready(name, "1@").await;
    }
    scene.registry().stop();
    for name in ["one", "two"] {
        scene.ask(name, "away");
        scene.wait_message(name, "True", "cannot check for updates: registry").await;
    }
    scene.create("new", patient);
    scene.wait_message("new", "False", "is unavailable: cannot connect").await;
    scene.registry().resume();
    for name in ["one", "two", "new"] {
        scene.push(name, "1", &config_map(name, "2"));
    }
    scene.wait_data("new", "2").await;
    for name in ["one", "two"] {
        scene
            .story
            .wait_for("it knows that there is nothing newer, or what", async || {
                let ready = condition(&scene.story.release(name).await?, "Ready")?;
                (ready.status == "True" && !ready.message.contains("cannot check for updates")).then_some(())
            })
            .await;
    }
}

#[story]
async fn wrong_credentials_are_told_and_a_rotated_secret_takes_effect_at_once() {
    let scene = Scene::builder("registry-credentials").await.own_registry(private()).slow_retries().start();
    scene.push("app", "1", &config_map("app", "one"));
    // Nothing here waits for a retry.
    scene.create("app", json!({"retryInterval": "1h", "interval": "1h", "secretRef": {"name": "pull"}}));
    let refused = async |reason: &str, says: &str| {
        let release = scene.story.wait_condition("app", "Ready", "False", reason).await;
        let message = condition(&release, "Ready").expect("ready").message;
        assert!(message.contains(says), "{message}");
        assert!(!message.contains("guess"), "{message}");
    };
    let namespace = scene.story.namespace();
    let missing = format!("Secret/{namespace}/pull, named by spec.secretRef, does not exist");
    refused("SecretNotFound", &missing).await;
    scene.story.kubectl(&["create", "secret", "generic", "pull", "--from-literal=a=b"], "");
    refused(
        "SecretInvalid",
        "Secret pull has no .dockerconfigjson: create it with `kubectl create secret docker-registry`",
    )
    .await;
    scene.story.kubectl(&["delete", "secret", "pull"], "");
    refused("SecretNotFound", &missing).await;
    scene.story.apply(&pull_secret(scene.registry(), "pull", USERS[0].0, "guess"));
    refused("AuthenticationFailed", &format!("{}/app", scene.registry().host())).await;
    assert_eq!(scene.data("app").await, None);
    scene.story.apply(&pull_secret(scene.registry(), "pull", USERS[0].0, USERS[0].1));
    scene.story.wait_ready("app", "1@").await;
    // What is applied stays when the credentials go bad, and Ready says so.
    scene.story.apply(&pull_secret(scene.registry(), "pull", USERS[0].0, "guess-again"));
    refused("AuthenticationFailed", "keeps running").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
    scene.story.apply(&pull_secret(scene.registry(), "pull", USERS[1].0, USERS[1].1));
    scene.story.wait_ready("app", "1@").await;
    let log = scene.operator.log();
    assert!(!log.contains("guess") && !log.contains(USERS[0].1), "{log}");
}

#[story]
async fn the_accounts_image_pull_secrets_are_used() {
    let scene = Scene::builder("registry-account").await.own_registry(private()).slow_retries().start();
    let story = &scene.story;
    scene.push("app", "1", &config_map("app", "one"));
    story.kubectl(&["create", "serviceaccount", "puller"], "");
    let account = format!("--serviceaccount={}:puller", story.namespace());
    story.kubectl(&["create", "rolebinding", "puller", "--clusterrole=admin", &account], "");
    story.apply(&pull_secret(scene.registry(), "pull", USERS[0].0, USERS[0].1));
    scene.create("app", json!({"retryInterval": "1h", "serviceAccountName": "puller"}));
    let release = story.wait_condition("app", "Ready", "False", "AuthenticationFailed").await;
    let message = condition(&release, "Ready").expect("ready").message;
    assert!(message.contains("requires credentials, and none are configured"), "{message}");
    // The account is watched: its new Secret is used at once.
    let patch = r#"{"imagePullSecrets":[{"name":"missing"},{"name":"pull"}]}"#;
    story.kubectl(&["patch", "serviceaccount", "puller", "-p", patch], "");
    story.wait_ready("app", "1@").await;
}

#[story]
async fn certificates_come_from_the_cert_secret() {
    let authority = Authority::new("registry");
    let registry =
        Registry::start(&Options { tls: Some(&authority), client_certificates: true, ..Options::default() });
    let scene = Scene::builder("registry-tls").await.own_registry(registry).slow_retries().start();
    scene.push("app", "1", &config_map("app", "one"));
    let spec = json!({"insecure": false, "retryInterval": "1h", "certSecretRef": {"name": "tls"}});
    scene.create("app", spec);
    let told = async |reason: &str, says: &str| {
        let release = scene.story.wait_condition("app", "Ready", "False", reason).await;
        let message = condition(&release, "Ready").expect("ready").message;
        assert!(message.contains(says), "{message}");
    };
    let namespace = scene.story.namespace();
    told("SecretNotFound", &format!("Secret/{namespace}/tls, named by spec.certSecretRef, does not exist"))
        .await;
    let secret = |data: serde_json::Value| {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "stringData": data});
        scene.story.kubectl(&["delete", "secret", "tls", "--ignore-not-found"], "");
        scene.story.apply(&secret.to_string());
    };
    let identity = scene.registry().identity().expect("a client certificate");
    let ca = authority.certificate();
    secret(json!({"tls.crt": identity.certificate}));
    told("SecretInvalid", "Secret tls, named by spec.certSecretRef, has only one of tls.crt and tls.key")
        .await;
    // The registry's certificate is of nobody's known, then the client's is missing.
    secret(json!({"tls.crt": identity.certificate, "tls.key": identity.key}));
    told("RegistryUnavailable", "certificate").await;
    secret(json!({"ca.crt": ca}));
    told("RegistryUnavailable", &scene.registry().host()).await;
    secret(json!({"ca.crt": ca, "tls.crt": identity.certificate, "tls.key": identity.key}));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
}

#[story]
async fn the_proxy_of_the_release_is_gone_through() {
    let scene = Scene::builder("registry-proxy").await.own_registry(Registry::plain()).slow_retries().start();
    scene.push("app", "1", &config_map("app", "one"));
    let proxy = Proxy::before(&scene.registry().url(), None);
    // Nobody but the proxy knows this host.
    let spec = json!({
        "url": "oci://registry.invalid/app",
        "retryInterval": "1h",
        "proxySecretRef": {"name": "proxy"},
    });
    scene.create("app", spec);
    let told = async |reason: &str, says: &str| {
        let release = scene.story.wait_condition("app", "Ready", "False", reason).await;
        let message = condition(&release, "Ready").expect("ready").message;
        assert!(message.contains(says) && !message.contains("s3cret"), "{message}");
    };
    let secret = |data: serde_json::Value| {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "proxy"}, "stringData": data});
        scene.story.apply(&secret.to_string());
    };
    told("SecretNotFound", "named by spec.proxySecretRef, does not exist").await;
    secret(json!({"username": "walker"}));
    told("SecretInvalid", "Secret proxy, named by spec.proxySecretRef, has no address").await;
    secret(
        json!({"address": format!("http://{}", proxy.host()), "username": "walker", "password": "s3cret"}),
    );
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
    assert!(!scene.operator.log().contains("s3cret"));
}

#[story]
async fn what_is_missing_or_no_artifact_is_told_and_changes_nothing() {
    let scene =
        Scene::builder("registry-missing").await.own_registry(Registry::plain()).slow_retries().start();
    let registry = scene.registry();
    registry.push_yaml("app", "1", &config_map("app", "one"));
    scene.create("app", json!({"retryInterval": "1h"}));
    scene.story.wait_ready("app", "1@").await;
    registry.push_layer("app", "binary", "application/yaml", b"\x7fELF\x00\x01");
    registry.push_layer("app", "sbom", "application/spdx+json", b"{}");
    let host = registry.host();
    let check = async |reference: serde_json::Value, condition_type: &str, reason: &str, says: &str| {
        scene.change("app", json!({"ref": reference}));
        let status = if condition_type == "Ready" { "False" } else { "True" };
        let release = scene.story.wait_condition("app", condition_type, status, reason).await;
        let ready = condition(&release, "Ready").expect("ready");
        assert!(ready.status == "False" && ready.message.contains(&shortened(says)), "{ready:?}");
        assert_eq!(scene.data("app").await.as_deref(), Some("one"));
        assert!(release["status"]["lastAppliedRevision"].as_str().is_some_and(|r| r.starts_with("1@")));
        assert_eq!(release["status"]["inventory"]["entries"], 1);
    };
    check(
        json!({"tag": "none"}),
        "Reconciling",
        "ArtifactNotFound",
        &format!("{host}/app:none was not found"),
    )
    .await;
    let digest = format!("sha256:{}", "0".repeat(64));
    check(
        json!({"digest": digest}),
        "Ready",
        "ArtifactNotFound",
        &format!("{host}/app@{digest} was not found"),
    )
    .await;
    check(
        json!({"digest": null, "semver": ">=3"}),
        "Ready",
        "NoMatchingTag",
        "has no tag that matches semver \">=3\"",
    )
    .await;
    check(
        json!({"semver": null, "tag": "binary"}),
        "Stalled",
        "ArtifactInvalid",
        "is not a usable configuration artifact",
    )
    .await;
    check(
        json!({"tag": "sbom"}),
        "Stalled",
        "ArtifactInvalid",
        "has no layer that is an archive or YAML; it has application/spdx+json",
    )
    .await;
    scene.change("app", json!({"url": format!("oci://{host}/nothing")}));
    let release = scene.story.wait_condition("app", "Ready", "False", "ArtifactNotFound").await;
    assert!(condition(&release, "Ready").expect("ready").message.contains(&format!("{host}/nothing:sbom")));
    scene.change("app", json!({"url": format!("oci://{host}/app"), "ref": {"tag": "1"}}));
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn bytes_of_another_digest_are_never_applied() {
    let scene = Scene::builder("registry-liar").await.own_registry(Registry::plain()).slow_retries().start();
    scene.push("app", "1", &config_map("app", "one"));
    let proxy = Proxy::before(&scene.registry().url(), None);
    let wrong = config_map("app", "two");
    proxy.rule(move |seen| match seen.path.contains("/blobs/") {
        true => Fate::ReplaceBody(Bytes::from(wrong.clone())),
        false => Fate::Pass,
    });
    scene.create("app", json!({"url": format!("oci://{}/app", proxy.host()), "retryInterval": "1s"}));
    let release = scene.story.wait_condition("app", "Ready", "False", "DigestMismatch").await;
    let ready = condition(&release, "Ready").expect("ready");
    assert!(ready.message.contains("the registry sent content that does not match the digest"), "{ready:?}");
    assert_eq!(scene.data("app").await, None);
    assert_eq!(scene.story.object("v1", "configmaps", "inv-app").await, None);
    // A manifest is checked in the same way, unless it is known already.
    scene.push("manifest", "1", &config_map("manifest", "one"));
    proxy.rule(|seen| match seen.path.contains("/manifests/") && seen.method == "GET" {
        true => Fate::ReplaceBody(Bytes::from_static(b"{\"schemaVersion\":2,\"layers\":[]}")),
        false => Fate::Pass,
    });
    scene.create(
        "manifest",
        json!({"url": format!("oci://{}/manifest", proxy.host()), "retryInterval": "1s"}),
    );
    scene.story.wait_condition("manifest", "Ready", "False", "DigestMismatch").await;
    // Once it tells the truth the next try succeeds by itself.
    proxy.pass_all();
    scene.story.wait_ready("app", "1@").await;
    scene.wait_data("app", "one").await;
}

#[story]
async fn another_tenants_cached_private_digest_is_refused() {
    let story = Story::begin("registry-tenants").await;
    let other = story.another_namespace("registry-tenants-other");
    let registry = private();
    let digest = registry.push_yaml("app", "1", &config_map("app", "secret"));
    let account = story.operator_account();
    let mut operator = Operator::new(BINARY, &account).watching(&[story.namespace(), &other]).start();
    operator.wait_ready();
    let url = format!("oci://{}/app", registry.host());
    story.apply(&pull_secret(&registry, "pull", USERS[0].0, USERS[0].1));
    let pinned = |namespace: &str, name: &str, secret: serde_json::Value| {
        let spec = json!({"ref": {"digest": digest}, "secretRef": secret, "retryInterval": "1h"});
        story.bed().kubectl(&["apply", "-f", "-"], &release(namespace, name, &url, spec).to_string());
    };
    pinned(story.namespace(), "owner", json!({"name": "pull"}));
    story.wait_ready("owner", &digest).await;
    // The same digest is in the cache by now. Without credentials of one's own, and
    // with wrong ones, it stays closed.
    let wrong = pull_secret(&registry, "wrong", USERS[0].0, "guess");
    story.bed().kubectl(&["-n", &other, "apply", "-f", "-"], &wrong);
    pinned(&other, "without", json!(null));
    pinned(&other, "wrong", json!({"name": "wrong"}));
    for name in ["without", "wrong"] {
        let refused = story
            .wait_for(&format!("{name} is refused"), async || {
                let found = story
                    .object_in(Some(&other), "supercargo.dev/v1alpha1", "ociartifactreleases", name)
                    .await?;
                condition(&found, "Ready").filter(|c| c.status == "False")
            })
            .await;
        assert_eq!(refused.reason, "AuthenticationFailed", "{refused:?}");
    }
    assert_eq!(story.object_in(Some(&other), "v1", "configmaps", "app").await, None);
    // With credentials that count, it is applied there as well.
    let right = pull_secret(&registry, "right", USERS[0].0, USERS[0].1);
    story.bed().kubectl(&["-n", &other, "apply", "-f", "-"], &right);
    pinned(&other, "with", json!({"name": "right"}));
    let applied = async || story.object_in(Some(&other), "v1", "configmaps", "app").await;
    story.wait_for("the artifact is applied with credentials", applied).await;
}

#[story]
async fn promise_6_releases_on_a_silent_registry_do_not_delay_the_next_one() {
    let registry = Registry::plain();
    let scene = Scene::builder("registry-silent")
        .await
        .own_registry(registry)
        .slow_retries()
        .argument("--concurrency=1")
        .start();
    let proxy = Proxy::before(&scene.registry().url(), None);
    proxy.silent(true);
    for name in ["stuck-a", "stuck-b", "stuck-c"] {
        scene.create(name, json!({"url": format!("oci://{}/{name}", proxy.host())}));
    }
    for name in ["stuck-a", "stuck-b", "stuck-c"] {
        let release = scene.wait_message(name, "Unknown", "Waiting for oci://").await;
        assert_eq!(condition(&release, "Reconciling").map(|c| c.reason).as_deref(), Some("Progressing"));
        scene.push(name, "1", &config_map(name, "one"));
    }
    scene.push("app", "1", &config_map("app", "one"));
    let start = std::time::Instant::now();
    scene.create("app", json!({}));
    scene.story.wait_ready("app", "1@").await;
    let took = start.elapsed();
    for name in ["stuck-a", "stuck-b", "stuck-c"] {
        let release = scene.story.release(name).await.expect("the release");
        let ready = condition(&release, "Ready").expect("ready");
        assert_eq!(ready.reason, "Progressing", "{name} waits, and app was on time after {took:?}");
    }
    proxy.silent(false);
    for name in ["stuck-a", "stuck-b", "stuck-c"] {
        scene.story.wait_ready(name, "1@").await;
    }
}
