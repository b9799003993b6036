//! No credentials are stored: the other API server trusts the issuer of this cluster (the provider
//! `generic`), or a cloud that does. A stand-in of the cloud gives what it gets, so that the other API
//! server can verify it.

use std::future::IntoFuture;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::json;
use supercargo_testbed::proxy::{Fate, Seen};
use supercargo_testbed::{Bed, Profile, Profiles, Proxy, story};
use tokio::sync::mpsc;

use super::There;
use crate::scene::{Scene, config_map};
use crate::shell::Shell;

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

/// A cluster that accepts the tokens of that issuer for an audience.
fn trusting(home: &Bed, issuer: &Proxy, audience: &str) -> Bed {
    let authentication = json!({
        "apiVersion": "apiserver.config.k8s.io/v1beta1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": "https://testbed.invalid",
                "discoveryURL": format!("{}/.well-known/openid-configuration", issuer.url()),
                "certificateAuthority": home.authority().certificate(),
                "audiences": [audience],
            },
            "claimMappings": {"username": {"claim": "sub", "prefix": "home:"}},
        }],
    });
    Bed::trusting(&authentication.to_string())
}

#[story]
async fn a_cluster_that_trusts_this_one_needs_no_stored_credentials() {
    let builder = Scene::builder("remote-generic").await.profile(Profile::Least);
    let home = Bed::shared();
    let issuer = issuer(home);
    let bed = trusting(home, &issuer, "the-other-cluster");
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
    // A person may do more than the author of the release: no command requests a token for another server.
    let status = Shell::admin(&scene.story).run(&["status", "release", "app"]).done();
    assert!(status.contains("a command requests no tokens of accounts for another cluster"), "{status}");
    let asked = bed.audit().since(mark, &user);
    assert!(asked.iter().any(|request| request.writes()), "as the account of this cluster");
}

#[story]
async fn a_token_that_is_rejected_before_its_end_is_replaced() {
    let builder = Scene::builder("remote-replaced").await.profile(Profile::Least);
    let home = Bed::shared();
    let issuer = issuer(home);
    let bed = trusting(home, &issuer, "the-other-cluster");
    let proxy = Proxy::before_api_server(&bed);
    let there = There::built(builder, &bed);
    let (scene, namespace) = (&there.scene, there.scene.namespace());
    let user = format!("home:system:serviceaccount:{namespace}:remote");
    bed.kubectl(
        &["create", "clusterrolebinding", "remote", "--clusterrole=cluster-admin", "--user", &user],
        "",
    );
    scene.story.apply(&crate::scene::account("remote"));
    let data = json!({"provider": "generic", "address": proxy.url(), "ca.crt": bed.authority().certificate(),
        "audiences": "the-other-cluster", "serviceAccountName": "remote"});
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trusting"}, "data": data});
    scene.story.apply(&map.to_string());
    let spec = json!({"kubeConfig": {"configMapRef": {"name": "trusting"}}, "interval": "1h", "retryInterval": "1s"});
    scene.install("app", &config_map("a", "one"), spec).await;
    // As when the account was created again, or the issuer has other keys.
    let first = proxy.seen().into_iter().find_map(|seen| seen.authorization).expect("it shows a token");
    let rejected = json!({"kind": "Status", "message": "Unauthorized", "code": 401}).to_string();
    proxy.rule(move |seen: &Seen| match seen.authorization.as_ref() == Some(&first) {
        true => Fate::Answer(401, rejected.clone()),
        false => Fate::Pass,
    });
    scene.upgrade("app", "2", &config_map("a", "two"));
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(there.data("a").as_deref(), Some("two"));
}

/// Microsoft's token service: it takes a token of a ServiceAccount for the right application, and gives it
/// back.
async fn entra(asked: mpsc::UnboundedSender<String>) -> String {
    let answer = move |uri: Uri, body: String| {
        let asked = asked.clone();
        async move {
            // The test may be over.
            let _ = asked.send(uri.path().to_owned());
            let field = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            let scope = field("scope") == Some("6dae42f8-4368-4678-94ff-3960e28e3630%2F.default");
            match field("client_assertion").filter(|_| scope && field("client_id") == Some("deployer")) {
                Some(token) => (StatusCode::OK, json!({"access_token": token, "expires_in": 15}).to_string()),
                None => (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}).to_string()),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    format!("http://{address}")
}

#[story]
async fn a_cloud_gives_a_token_for_that_of_an_account_and_it_is_renewed() {
    let (sender, mut asked) = mpsc::unbounded_channel();
    let authority = entra(sender).await;
    let builder = Scene::builder("remote-cloud").await.profile(Profile::Least);
    let home = Bed::shared();
    let issuer = issuer(home);
    let bed = trusting(home, &issuer, "api://AzureADTokenExchange");
    let there = There::started(builder, &bed, |options| options.env("AZURE_AUTHORITY_HOST", &authority));
    let (scene, namespace) = (&there.scene, there.scene.namespace().to_owned());
    let user = format!("home:system:serviceaccount:{namespace}:remote");
    bed.kubectl(
        &["create", "clusterrolebinding", "remote", "--clusterrole=cluster-admin", "--user", &user],
        "",
    );
    scene.story.apply(&crate::scene::account("remote"));
    let data = json!({"provider": "azure", "address": bed.url(), "ca.crt": bed.authority().certificate(),
        "serviceAccountName": "remote"});
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trusting"}, "data": data});
    scene.story.apply(&map.to_string());
    scene.push("app", "1", &config_map("a", "one"));
    let spec = json!({"kubeConfig": {"configMapRef": {"name": "trusting"}}, "interval": "1h", "retryInterval": "1s"});
    scene.create("app", spec);
    let message = scene.wait_reason("app", "Ready", "False", "ClusterUnreachable").await;
    let says = format!("no token of the cloud for ServiceAccount/{namespace}/remote: it has no annotation");
    assert!(message.starts_with(&says), "{message}");
    let annotate = |client: &str| {
        let client = format!("azure.workload.identity/client-id={client}");
        let tenant = "azure.workload.identity/tenant-id=shop.example";
        scene.story.kubectl(&["annotate", "--overwrite", "serviceaccount", "remote", tenant, &client], "");
    };
    annotate("somebody");
    scene
        .wait_says("app", "Ready", &["the account's identity was refused", "answered 401 (invalid_client)"])
        .await;
    annotate("deployer");
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(there.data("a").as_deref(), Some("one"));
    let mark = bed.audit().mark();
    scene.upgraded("app", "2", &config_map("a", "two")).await;
    assert!(bed.audit().since(mark, &user).iter().any(|request| request.writes()), "as the account");
    // It is renewed before it ends, without a run.
    let first = async |asked: &mut mpsc::UnboundedReceiver<String>| asked.recv().await;
    while asked.try_recv().is_ok() {}
    let path = tokio::time::timeout(Duration::from_secs(60), first(&mut asked)).await.expect("a renewal");
    assert_eq!(path.as_deref(), Some("/shop.example/oauth2/v2.0/token"));
}
