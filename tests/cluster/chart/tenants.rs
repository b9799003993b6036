//! An installation for some namespaces: its rights are in these only, and what the
//! values say about registries, trust and identities holds.

use serde_json::json;
use supercargo_testbed::certificates::Authority;
use supercargo_testbed::registry::Options;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Registry, Story, story};

use super::{helm, pods};
use crate::scene::{config_map, release};

const PROFILES: Profiles = Profiles::First("its operators have the rights that the chart gives them there");

/// Any key; nothing is signed with it.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5x3/06053zgijXBQvJy/qKK68KDQ
aEEhnOCLTEl74ssEb1Oh2JrYdX8ypP7hIqPvZGP0NF12doJqJvEwLi2ohA==
-----END PUBLIC KEY-----
";

fn values(home: &str, tenant: &str, registry: &str) -> String {
    json!({
        "fullnameOverride": home,
        "serviceAccount": {"name": "supercargo"},
        "crds": {"install": false},
        "rbac": {"aggregate": false, "impersonate": ["shipper"]},
        "defaultServiceAccount": "shipper",
        "watchNamespaces": [tenant],
        "watchLabelSelector": "!ignored",
        "allowedRegistries": [registry],
        // A file that makes no sense would end the process.
        "webhook": {"enabled": true, "receivers": [{"name": "ci", "type": "generic", "secret": "0123456789abcdef"}]},
        "extraCA": {"configMap": "registry-ca"},
        // Nobody is there: what goes to the API server must not go this way.
        "proxy": {"https": "http://127.0.0.1:9"},
        "trustPolicy": {"files": {
            "key.pub": KEY,
            "policy.yaml": json!({
                "apiVersion": "supercargo.dev/v1alpha1",
                "kind": "TrustPolicy",
                "registries": [{"prefix": format!("{registry}/signed"), "keys": [{"name": "k", "file": "key.pub"}]}],
            }).to_string(),
        }},
    })
    .to_string()
}

#[story]
async fn an_installation_for_one_namespace_has_rights_there_only_and_releases_become_ready() {
    let story = Story::begin("chart-tenant").await;
    let (bed, home) = (story.bed(), story.another_namespace("chart-home"));
    let elsewhere = story.another_namespace("chart-elsewhere");
    let authority = Authority::new("registry");
    let registry = Registry::start(&Options { tls: Some(&authority), ..Options::default() });
    let certificate = format!("--from-literal=ca.crt={}", authority.certificate());
    bed.kubectl(&["--namespace", &home, "create", "configmap", "registry-ca", &certificate], "");
    let admin = bed.admin_kubeconfig_path();
    let values = values(&home, story.namespace(), &registry.host());
    let flags = ["--wait", "--timeout=120s"];
    helm::printed(&helm::with_values(Some(&admin), &["install", "supercargo"], &home, &values, &flags));

    let user = format!("system:serviceaccount:{home}:supercargo");
    let allowed = |verb: &str, what: &str, namespace: &str| {
        let ask = ["auth", "can-i", verb, what, "--as", &user, "--namespace", namespace];
        bed.try_kubectl(&ask, "").status.success()
    };
    for (verb, what) in [
        ("list", "ociartifactreleases.supercargo.dev"),
        ("delete", "configmaps"),
        ("get", "serviceaccounts"),
        ("impersonate", "serviceaccounts/shipper"),
        ("create", "events"),
    ] {
        assert!(allowed(verb, what, story.namespace()), "{verb} {what}");
        assert!(!allowed(verb, what, &elsewhere), "{verb} {what} elsewhere");
    }
    assert!(!allowed("impersonate", "serviceaccounts/default", story.namespace()));

    let mut operator = pods::options(bed, &home, &pods::newest(bed, &home)).start();
    operator.wait_ready();
    for account in ["shipper", "other"] {
        story.kubectl(&["create", "serviceaccount", account], "");
        let subject = format!("--serviceaccount={}:{account}", story.namespace());
        story.kubectl(&["create", "rolebinding", account, "--clusterrole=admin", &subject], "");
    }
    let install = |name: &str, spec: serde_json::Value| {
        registry.push_yaml(name, "1", &config_map(name, "one"));
        let mut whole = json!({"insecure": false, "retryInterval": "1s"});
        whole.as_object_mut().expect("a spec").extend(spec.as_object().expect("a spec").clone());
        story.apply(
            &release(story.namespace(), name, &format!("oci://{}/{name}", registry.host()), whole)
                .to_string(),
        );
    };
    // Over TLS that only the extra CA vouches for, as the default account.
    install("app", json!({}));
    story.wait_ready("app", "1@").await;
    install("stranger", json!({"serviceAccountName": "other"}));
    let refused = story.wait_condition("stranger", "Ready", "False", "AccessDenied").await;
    let message = condition(&refused, "Ready").expect("a condition").message;
    assert!(message.contains("impersonate"), "{message}");
    install("signed", json!({}));
    let refused = story
        .wait_for("the trust policy is asked", async || {
            let release = story.release("signed").await?;
            condition(&release, "Ready").filter(|ready| ready.status == "False").map(|_| release)
        })
        .await;
    let message = condition(&refused, "Ready").expect("a condition").message;
    assert!(message.contains("sign"), "{message}");
    story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    story.wait_gone("v1", "configmaps", "app").await;
    // Finalizers want the operator.
    story.kubectl(&["delete", "oar", "--all", "--timeout=60s"], "");
    let uninstall = ["uninstall", "supercargo", "--namespace", &home];
    helm::printed(&helm::helm(Some(&admin), &uninstall));
}
