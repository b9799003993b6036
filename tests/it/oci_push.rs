//! What a registry can make a push do.

use axum::http::Method;
use supercargo::api::reason::Reason;
use supercargo::oci::{Labels, Registry, Tag, pack};

use crate::liar::{Liar, access, options, reply, soon};

fn packed() -> supercargo::oci::Package {
    let labels = Labels { created: "2026-01-01T00:00:00Z".into(), ..Labels::default() };
    pack(b"kind: ConfigMap\n---\n", &labels).unwrap()
}

async fn push(liar: &Liar) -> Result<String, (Reason, String)> {
    let access = access(Some((&liar.host, "user", "sesame")));
    let tag = Tag::parse("1.0").unwrap();
    let pushed = soon(Registry::new(options()).push(&liar.repository(), &tag, &packed(), &access)).await;
    pushed.map(|digest| digest.to_string()).map_err(|e| (e.reason(), e.to_string()))
}

/// Wants Basic credentials and takes everything; uploads go to `location`.
fn accept(liar: &Liar, location: String) {
    liar.lie(move |seen| {
        if seen.authorization.is_none() {
            return Some(reply(401, &[("www-authenticate", "Basic realm=x")], ""));
        }
        match seen.method {
            Method::HEAD => Some(reply(404, &[], "")),
            Method::POST => Some(reply(202, &[("location", &location)], "")),
            Method::PUT => Some(reply(201, &[], "")),
            _ => None,
        }
    });
}

#[tokio::test]
async fn what_is_missing_is_uploaded_and_then_named() {
    let liar = Liar::start().await;
    accept(&liar, "/v2/team/app/blobs/uploads/1?state=abc".into());
    let digest = push(&liar).await.unwrap();
    assert_eq!(digest, packed().digest().to_string());
    let puts: Vec<_> = liar.seen().into_iter().filter(|s| s.method == Method::PUT).map(|s| s.path).collect();
    assert_eq!(puts.len(), 3);
    assert!(puts[0].starts_with("/v2/team/app/blobs/uploads/1?state=abc&digest=sha256%3A"), "{puts:?}");
    assert_eq!(puts[2], "/v2/team/app/manifests/1.0");
}

#[tokio::test]
async fn an_upload_elsewhere_carries_no_credentials() {
    let (liar, elsewhere) = (Liar::start().await, Liar::start().await);
    elsewhere.lie(|_| Some(reply(201, &[], "")));
    // Another host has to be reached over HTTPS; plain HTTP is refused.
    accept(&liar, format!("http://{}/upload", elsewhere.host));
    let (reason, message) = push(&liar).await.unwrap_err();
    assert_eq!(reason, Reason::RegistryUnavailable, "{message}");
    assert!(elsewhere.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn a_registry_that_stores_something_else_is_noticed() {
    let liar = Liar::start().await;
    liar.lie(|seen| match (&seen.method, seen.path.contains("/manifests/")) {
        (&Method::PUT, true) => Some(reply(201, &[("docker-content-digest", "sha256:beef")], "")),
        (&Method::HEAD, _) => Some(reply(200, &[], "")),
        _ => None,
    });
    assert_eq!(push(&liar).await.unwrap_err().0, Reason::DigestMismatch);
}

#[tokio::test]
async fn refusals_are_told() {
    let liar = Liar::start().await;
    for (location, status, expected) in
        [("", 202, Reason::RegistryUnavailable), ("/x", 403, Reason::AuthenticationFailed)]
    {
        liar.repent();
        liar.lie(move |seen| match seen.method {
            Method::POST => {
                Some(reply(status, &[("location", location)], r#"{"errors":[{"code":"DENIED"}]}"#))
            }
            _ => Some(reply(404, &[], "")),
        });
        let (reason, message) = push(&liar).await.unwrap_err();
        assert_eq!(reason, expected, "{message}");
        assert!(!message.contains("sesame"), "{message}");
    }
}
