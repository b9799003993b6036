//! The images of objects, as their registries are asked about them.

use std::collections::BTreeMap;

use axum::http::Method;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use supercargo::api::reason::Reason;
use supercargo::domain::object::Object;
use supercargo::domain::verify::images::{ImagePolicies, ImageSigners, Pattern};
use supercargo::oci::{Access, Keyring, Registry, Repository};
use supercargo::reconcile::error::{RunFailure, failure};
use supercargo::reconcile::trust::images::{ImageAccess, Images, verify_images};

use crate::liar::{Liar, access, options, reply, soon};
use crate::signatures::policy;

/// A Secret for pulls, and the release's own credentials.
struct Keys {
    secret: Result<Vec<u8>, Reason>,
    own: Access,
}

impl ImageAccess for Keys {
    fn pull_secret<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Box<RunFailure>>> {
        async move { self.secret.clone().map(Some).map_err(|reason| failure(reason, "Secret/a/pods, unread")) }
            .boxed()
    }

    fn access<'a>(
        &'a self,
        repository: &'a Repository,
        of_pods: Option<Keyring>,
    ) -> BoxFuture<'a, Result<Access, Box<RunFailure>>> {
        async move { Ok(self.own.towards(of_pods, repository, repository)) }.boxed()
    }
}

fn pod(images: &[&str]) -> Object {
    let containers: Vec<_> = images.iter().map(|image| json!({"image": image})).collect();
    let spec = json!({"containers": containers, "imagePullSecrets": [{"name": "pods"}]});
    let metadata = json!({"name": "a", "namespace": "a"});
    Object::new(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})).unwrap()
}

/// Nobody's signature is enough: what is told of an image is how far one came.
async fn verified(images: &[&str], keys: &Keys, known: &BTreeMap<String, String>) -> Images {
    let rules =
        vec![ImageSigners { pattern: Pattern::parse("*").unwrap(), policies: vec![policy(vec![], 1)] }];
    let policies = ImagePolicies { exempt: Vec::new(), rules };
    let registry = Registry::new(options());
    soon(verify_images(&registry, &[pod(images)], &policies, keys, known)).await.unwrap()
}

/// Lets nobody in but one user, whose password is `p`.
fn guard(liar: &Liar, user: &'static str) {
    let header = match user {
        "pods" => "Basic cG9kczpw",
        _ => "Basic b3duOnA=",
    };
    liar.lie(move |seen| {
        let known = seen.authorization.as_deref() == Some(header);
        (!known).then(|| reply(401, &[("www-authenticate", "Basic realm=\"r\"")], ""))
    });
}

#[tokio::test]
async fn the_pods_credentials_are_tried_first_then_the_releases() {
    let liar = Liar::start().await;
    liar.artifact("1", "kind: ConfigMap\n");
    let image = format!("{}/team/app:1", liar.host);
    let config = json!({"auths": {&liar.host: {"username": "pods", "password": "p"}}}).to_string();
    let check = async |welcome: &'static str, secret: Result<&str, Reason>, own: bool, expected: Reason| {
        liar.repent();
        guard(&liar, welcome);
        let own = access(own.then_some((liar.host.as_str(), "own", "p")));
        let keys = Keys { secret: secret.map(|config| config.as_bytes().to_vec()), own };
        let images = verified(&[&image], &keys, &BTreeMap::new()).await;
        let [failed] = images.failures.as_slice() else { panic!("{images:?}") };
        assert_eq!(failed.reason, expected, "{welcome} {secret:?}: {}", failed.message);
        failed.message.clone()
    };
    check("pods", Ok(&config), true, Reason::SignatureMissing).await;
    check("own", Ok(&config), true, Reason::SignatureMissing).await;
    check("own", Err(Reason::SecretNotFound), true, Reason::SignatureMissing).await;
    check("own", Ok("{"), true, Reason::SignatureMissing).await;
    let told = check("nobody else", Ok(&config), false, Reason::AuthenticationFailed).await;
    assert!(told.contains("answered 401; check the credentials and that the repository exists; without the imagePullSecrets: "), "{told}");
    let told = check("pods", Err(Reason::SecretNotFound), true, Reason::SecretNotFound).await;
    assert!(told.starts_with("Secret/a/pods, unread; without"), "{told}");
}

#[tokio::test]
async fn every_form_of_a_container_is_asked_about_and_what_is_doubtful_needs_an_exemption() {
    let liar = Liar::start().await;
    liar.artifact("1", "kind: ConfigMap\n");
    let image = |name: &str| format!("{}/{name}:1", liar.host);
    let spec = json!({
        "templates": [{"container": {"image": image("argo")}}, {"script": {"image": image("script")}}],
        "containers": {"main": {"image": image("map")}},
        "volumes": [{"image": {"reference": image("volume")}}],
        "image": image("operand"),
    });
    let metadata = json!({"name": "a", "namespace": "a"});
    let flow = json!({"apiVersion": "flows.example/v1", "kind": "Flow", "metadata": metadata, "spec": spec});
    let objects = [Object::new(flow).unwrap()];
    let check = async |exempt: &[&str], expected: &[&str]| {
        let rules =
            vec![ImageSigners { pattern: Pattern::parse("*").unwrap(), policies: vec![policy(vec![], 1)] }];
        let exempt = exempt.iter().map(|name| Pattern::parse(&format!("{}/{name}", liar.host)).unwrap());
        let policies = ImagePolicies { exempt: exempt.collect(), rules };
        let keys = Keys { secret: Ok(b"{}".to_vec()), own: access(None) };
        let registry = Registry::new(options());
        let images =
            soon(verify_images(&registry, &objects, &policies, &keys, &BTreeMap::new())).await.unwrap();
        let mut told: Vec<&str> = images.failures.iter().map(|failed| failed.image.as_str()).collect();
        told.sort_unstable();
        let expected: Vec<String> = expected.iter().map(|name| image(name)).collect();
        assert_eq!(told, expected);
        assert!(images.verified.is_empty());
        assert!(images.failures.iter().all(|failed| failed.objects[0].name == "a"));
    };
    check(&[], &["argo", "map", "operand", "script", "volume"]).await;
    check(&["operand"], &["argo", "map", "script", "volume"]).await;
    check(&["*"], &[]).await;
}

#[tokio::test]
async fn a_known_digest_is_verified_for_every_spelling_whatever_the_tag_is() {
    let liar = Liar::start().await;
    let (first, _) = (liar.artifact("1", "kind: ConfigMap\n"), liar.artifact("1", "kind: Secret\n"));
    let plain = format!("{}/team/app:1", liar.host);
    let pinned = format!("{plain}@{first}");
    let keys = Keys { secret: Ok(b"{}".to_vec()), own: access(None) };
    let known = BTreeMap::from([(plain.clone(), first.to_string()), (pinned.clone(), first.to_string())]);
    let images = verified(&[&plain, &pinned], &keys, &known).await;
    let told: Vec<&str> = images.failures.iter().map(|failed| failed.image.as_str()).collect();
    assert_eq!(told, [&pinned, &pinned]);
    let asked = liar.seen();
    assert!(asked.iter().all(|seen| !seen.path.ends_with("/manifests/1")), "the tag is not asked");
    assert!(asked.iter().any(|seen| seen.method == Method::GET && seen.path.contains(first.hex())));
}

#[tokio::test]
async fn an_image_that_no_policy_is_about_is_refused() {
    let rules =
        vec![ImageSigners { pattern: Pattern::parse("ghcr.io/acme/*").unwrap(), policies: Vec::new() }];
    let policies = ImagePolicies { exempt: vec![Pattern::parse("free.invalid/*").unwrap()], rules };
    let keys = Keys { secret: Ok(Vec::new()), own: access(None) };
    let objects = [pod(&["free.invalid/a:1", "other.invalid/a:1"])];
    let registry = Registry::new(options());
    let images = soon(verify_images(&registry, &objects, &policies, &keys, &BTreeMap::new())).await.unwrap();
    let [failed] = images.failures.as_slice() else { panic!("{images:?}") };
    assert_eq!((failed.image.as_str(), failed.reason), ("other.invalid/a:1", Reason::ImageNotVerified));
    assert!(failed.message.contains("add a policy, or exempt the image"), "{}", failed.message);
    assert_eq!(images.exempt, ["free.invalid/a:1"]);
}
