//! What a release may not name, and what it may not reach: threats by a kubeconfig.

use serde_json::{Value, json};
use supercargo_testbed::{Profile, Profiles, story};

use super::{There, shared};
use crate::scene::{Scene, config_map, text};

const PROFILES: Profiles = Profiles::First("what a kubeconfig may say does not depend on rights");

fn with(kubeconfig: &str, change: impl Fn(&mut Value)) -> String {
    let mut config: Value = serde_json::from_str(kubeconfig).expect("it is JSON");
    change(&mut config);
    config.to_string()
}

#[story]
async fn every_other_field_of_a_kubeconfig_is_refused_by_its_name_until_it_is_mended() {
    let there = There::begin("remote-fields").await;
    let scene = &there.scene;
    let good = there.kubeconfig();
    let user = |field: &'static str, value: Value| {
        with(&good, move |config| config["users"][0]["user"][field] = value.clone())
    };
    let cluster = |field: &'static str, value: Value| {
        with(&good, move |config| config["clusters"][0]["cluster"][field] = value.clone())
    };
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
        "args": ["-c", "touch /tmp/pwned"], "interactiveMode": "Never"});
    there.give(&user("exec", exec));
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", There::spec(json!({"interval": "1h"})));
    let program = "users[testbed].user.exec: is not supported: it names a program, and none is run";
    scene.wait_says("app", "Ready", &["Secret", "spec.kubeConfig.secretRef", program]).await;
    scene.wait_reason("app", "Ready", "False", "SecretInvalid").await;
    for (kubeconfig, says) in [
        (
            user("auth-provider", json!({"name": "gcp"})),
            "users[testbed].user.auth-provider: is not supported",
        ),
        (
            user("tokenFile", json!("/var/run/secrets/kubernetes.io/serviceaccount/token")),
            "user.tokenFile: is not supported",
        ),
        (user("client-certificate", json!("/etc/passwd")), "user.client-certificate: is not supported"),
        (user("client-key", json!("/etc/passwd")), "user.client-key: is not supported"),
        (user("as", json!("system:admin")), "user.as: is not supported: use spec.serviceAccountName"),
        (
            cluster("certificate-authority", json!("/etc/passwd")),
            "cluster.certificate-authority: is not supported",
        ),
        (
            cluster("insecure-skip-tls-verify", json!(true)),
            "cluster.insecure-skip-tls-verify: is not supported",
        ),
        (cluster("server", json!("http://api.example")), "cluster.server: must be https"),
        (with(&good, |config| config["current-context"] = "gone".into()), "contexts: has no entry \"gone\""),
    ] {
        // Each is seen at once, since the Secret is watched.
        there.give(&kubeconfig);
        scene.wait_says("app", "Ready", &[says]).await;
    }
    assert_eq!(there.data("a"), None);
    there.give(&good);
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(there.data("a").as_deref(), Some("one"));
    assert!(!std::path::Path::new("/tmp/pwned").exists());
}

#[story]
async fn an_address_of_the_operators_own_machine_is_refused() {
    // Without --allow-local-clusters, as an administrator has it.
    let scene = Scene::begin("remote-local").await;
    let kubeconfig = shared().kubeconfig_for_user("remote-local", Some("system:masters"));
    let give = |kubeconfig: &str| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there"},
            "stringData": {"value": kubeconfig}});
        scene.story.apply(&secret.to_string());
    };
    let at = |address: &str| {
        let server = format!("https://{address}");
        with(&kubeconfig, move |config| config["clusters"][0]["cluster"]["server"] = server.clone().into())
    };
    let mark = shared().audit().mark();
    give(&kubeconfig);
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", There::spec(json!({"interval": "1h"})));
    let local = "cluster.server: names an address of this machine, which releases may not use";
    let metadata =
        "cluster.server: names a link-local, metadata or reserved address, which releases may not use";
    scene.wait_says("app", "Ready", &[local]).await;
    scene.wait_reason("app", "Ready", "False", "SecretInvalid").await;
    for (address, says) in [
        ("169.254.169.254", metadata),
        ("localhost:6443", local),
        ("metadata.google.internal", metadata),
        ("[::ffff:127.0.0.1]", local),
    ] {
        give(&at(address));
        scene.wait_says("app", "Ready", &[says]).await;
    }
    let proxied = with(&kubeconfig, |config| {
        let cluster = &mut config["clusters"][0]["cluster"];
        cluster["server"] = "https://api.example".into();
        cluster["proxy-url"] = "http://127.0.0.1:3128".into();
    });
    give(&proxied);
    scene.wait_says("app", "Ready", &["cluster.proxy-url: names an address of this machine"]).await;
    assert!(shared().audit().since(mark, "remote-local").is_empty(), "nothing was sent");
    // The same address is reached where the administrator allows it.
    let there = There::begin("remote-local-allowed").await;
    there.scene.push("app", "1", &config_map("a", "one"));
    there.scene.create("app", There::spec(json!({"interval": "1h"})));
    there.scene.story.wait_ready("app", "1@").await;
    assert!(!there.requests(mark).is_empty());
}

#[story]
async fn other_clusters_can_be_disabled() {
    let scene = Scene::builder("remote-off").await.argument("--remote-clusters=Disabled").start();
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", There::spec(json!({"interval": "1h"})));
    let message = scene.wait_reason("app", "Ready", "False", "InvalidSpec").await;
    assert!(message.contains("other clusters are not allowed by the administrator"), "{message}");
    assert_eq!(scene.data("a").await, None);
}

#[story]
async fn a_missing_secret_is_waited_for_and_the_field_is_validated() {
    let there = There::begin("remote-secret").await;
    let scene = &there.scene;
    scene.push("app", "1", &config_map("a", "one"));
    let release = |config: Value| {
        let release = scene.release("bad", json!({"kubeConfig": config}));
        let output = scene.story.bed().try_kubectl(&["create", "-f", "-"], &release.to_string());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let one = "kubeConfig needs exactly one of secretRef and configMapRef";
    assert!(release(json!({})).contains(one));
    assert!(release(json!({"secretRef": {"name": "a"}, "configMapRef": {"name": "b"}})).contains(one));
    scene.create(
        "app",
        json!({"kubeConfig": {"secretRef": {"name": "later", "key": "config"}}, "interval": "1h"}),
    );
    let message = scene.wait_reason("app", "Ready", "False", "SecretNotFound").await;
    assert!(message.contains("/later, named by spec.kubeConfig.secretRef, does not exist"), "{message}");
    let secret = |key: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"},
            "stringData": {key: there.kubeconfig()}})
    };
    scene.story.apply(&secret("other").to_string());
    scene.wait_says("app", "Ready", &["it has no key config"]).await;
    scene.story.apply(&secret("config").to_string());
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(there.data("a").as_deref(), Some("one"));
}

#[story]
async fn rights_are_those_of_the_account_in_the_other_cluster() {
    // In the profile of least rights the release names no account and gets `deployer`, as here.
    let there = There::built(Scene::builder("remote-rights").await.profile(Profile::Least), shared());
    let (scene, namespace) = (&there.scene, there.scene.namespace().to_owned());
    scene.push("app", "1", &config_map("a", "one"));
    let read = r#"[{apiGroups: [""], resources: [secrets], resourceNames: [there], verbs: [get]}]"#;
    scene.story.apply(&(crate::scene::account("narrow") + &crate::scene::role("narrow", &namespace, read)));
    scene.create("app", There::spec(json!({"serviceAccountName": "narrow"})));
    let message = scene.wait_reason("app", "Ready", "False", "ServiceAccountNotFound").await;
    assert!(message.contains(&format!("ServiceAccount/{namespace}/narrow does not exist")), "{message}");
    there.bed.kubectl(&["-n", &namespace, "create", "serviceaccount", "narrow"], "");
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    assert!(message.contains("narrow"), "{message}");
    assert_eq!(there.data("a"), None);
    let create = ["-n", &namespace, "create", "role", "narrow", "--verb=*", "--resource=configmaps"];
    there.bed.kubectl(&create, "");
    let account = format!("--serviceaccount={namespace}:narrow");
    there.bed.kubectl(&["-n", &namespace, "create", "rolebinding", "narrow", "--role=narrow", &account], "");
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(there.data("a").as_deref(), Some("one"));
}

#[story]
async fn objects_are_not_forgotten_when_the_spec_means_another_cluster() {
    let there = There::begin("remote-moved").await;
    let scene = &there.scene;
    scene.install("app", &config_map("a", "one"), There::spec(json!({"interval": "1h"}))).await;
    // Home: the objects there would look deleted, and be created here.
    scene.change("app", json!({"kubeConfig": null}));
    let message = scene.wait_reason("app", "Ready", "False", "InvalidSpec").await;
    let url = there.bed.url();
    assert!(message.contains(&format!("1 object of the release are in the cluster {url}")), "{message}");
    assert!(message.contains(&format!("supercargo.dev/leave-cluster: {url}")), "{message}");
    assert_eq!(scene.data("a").await, None);
    assert_eq!(scene.named("app").await, ["a"]);
    // Nor is it deleted as if there was nothing.
    scene.push("gone", "1", &config_map("b", "one"));
    scene.install("gone", &config_map("b", "one"), There::spec(json!({"interval": "1h"}))).await;
    scene.change("gone", json!({"kubeConfig": null}));
    scene.wait_reason("gone", "Ready", "False", "InvalidSpec").await;
    scene.story.kubectl(&["delete", "ociartifactrelease", "gone", "--wait=false"], "");
    scene
        .story
        .wait_for("the deletion is refused", async || {
            let release = scene.story.release("gone").await?;
            let going = release["metadata"]["deletionTimestamp"].is_string();
            let observed = release["status"]["observedGeneration"] == release["metadata"]["generation"];
            (going && observed).then_some(())
        })
        .await;
    assert_eq!(there.data("b").as_deref(), Some("one"));
    assert_eq!(scene.named("gone").await, ["b"]);
    scene.change("gone", There::spec(json!({})));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "gone").await;
    there.wait_data("b", None).await;
    // Set back, it goes on.
    scene.change("app", There::spec(json!({})));
    scene.story.wait_ready("app", "1@").await;
    scene.change("app", json!({"kubeConfig": null}));
    scene.wait_reason("app", "Ready", "False", "InvalidSpec").await;
    // A person leaves them where they are.
    scene.annotate("app", "supercargo.dev/leave-cluster", url);
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    assert_eq!(there.data("a").as_deref(), Some("one"));
    let inventory = scene.config_map("inv-app").await.expect("it exists");
    assert_eq!(text(&inventory, "/data/cluster"), "");
    // They belong to nobody now: another release takes them over, and it alone corrects and deletes them.
    scene.install("heir", &config_map("a", "two"), There::spec(json!({"interval": "1h"}))).await;
    assert_eq!(there.data("a").as_deref(), Some("two"));
    scene.upgraded("app", "2", &config_map("a", "three")).await;
    assert_eq!(there.data("a").as_deref(), Some("two"));
    scene.story.kubectl(&["delete", "ociartifactrelease", "heir", "--wait=false"], "");
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "heir").await;
    there.wait_data("a", None).await;
    assert_eq!(scene.data("a").await.as_deref(), Some("three"));
}
