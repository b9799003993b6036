//! The provider `generic`: the other API server trusts the issuer of this cluster, and no credentials are
//! stored.

use serde_json::json;
use supercargo_testbed::proxy::{Fate, Seen};
use supercargo_testbed::{Bed, Profile, Profiles, Proxy, story};

use super::There;
use crate::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("it names its own rights");

/// A server of the discovery documents of this cluster's issuer. It stands where a person would put
/// them: the API server serves them to its own accounts only.
fn issuer(home: &Bed) -> Proxy {
    let keys = home.kubectl(&["get", "--raw", "/openid/v1/jwks"], "");
    let server = Proxy::before_api_server(home);
    let document = json!({
        "issuer": "https://testbed.invalid",
        "jwks_uri": format!("{}/openid/v1/jwks", server.url()),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    });
    server.rule(move |seen: &Seen| match seen.path.as_str() {
        "/.well-known/openid-configuration" => Fate::Answer(200, document.to_string()),
        _ => Fate::Answer(200, keys.clone()),
    });
    server
}

#[story]
async fn a_cluster_that_trusts_this_one_needs_no_stored_credentials() {
    let builder = Scene::builder("remote-generic").await.profile(Profile::Least);
    let home = Bed::shared();
    let issuer = issuer(home);
    let authentication = json!({
        "apiVersion": "apiserver.config.k8s.io/v1beta1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": "https://testbed.invalid",
                "discoveryURL": format!("{}/.well-known/openid-configuration", issuer.url()),
                "certificateAuthority": home.authority().certificate(),
                "audiences": ["the-other-cluster"],
            },
            "claimMappings": {"username": {"claim": "sub", "prefix": "home:"}},
        }],
    });
    let bed = Bed::trusting(&authentication.to_string());
    let there = There::built(builder, &bed);
    let (scene, namespace) = (&there.scene, there.scene.namespace().to_owned());
    let user = format!("home:system:serviceaccount:{namespace}:remote");
    let bind = ["create", "clusterrolebinding", "remote", "--clusterrole=cluster-admin", "--user", &user];
    bed.kubectl(&bind, "");
    scene.story.apply(&crate::scene::account("remote"));
    let data = |audience: &str, account: &str| {
        let data = json!({"provider": "generic", "address": bed.url(), "ca.crt": bed.authority().certificate(),
            "audiences": format!("- {audience}\n"), "serviceAccountName": account});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trusting"}, "data": data})
            .to_string()
    };
    // An audience that the other cluster does not accept.
    scene.story.apply(&data("another", "remote"));
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", json!({"kubeConfig": {"configMapRef": {"name": "trusting"}}, "interval": "1h"}));
    let message = scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    assert!(message.contains("401 Unauthorized"), "{message}");
    // An account that does not exist.
    scene.story.apply(&data("the-other-cluster", "nobody"));
    scene.wait_says("app", "Ready", &["cannot get a token of ServiceAccount", "nobody"]).await;
    let mark = bed.audit().mark();
    scene.story.apply(&data("the-other-cluster", "remote"));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(there.data("a").as_deref(), Some("one"));
    let asked = bed.audit().since(mark, &user);
    assert!(asked.iter().any(|request| request.writes()), "as the account of this cluster");
    // A provider of a cloud is refused in words.
    let cloud = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trusting"},
        "data": {"provider": "aws", "cluster": "arn:aws:eks:eu-west-1:1:cluster/a"}});
    scene.story.apply(&cloud.to_string());
    scene.wait_says("app", "Ready", &["aws, azure and gcp are not supported yet"]).await;
    assert_eq!(there.data("a").as_deref(), Some("one"), "nothing is lost");
}
