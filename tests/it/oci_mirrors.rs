//! Content from mirrors, and what a mirror is not asked and not told.

use std::sync::Arc;

use axum::http::Method;
use supercargo::api::reason::Reason;
use supercargo::oci::{Access, AccessParts, Keyring, Registry, RegistryOptions, Repository, Selection};

use crate::liar::{Liar, options, pull, reply, soon};

const YAML: &str = "kind: ConfigMap\n";

/// A registry client that knows the mirror of everything of the origin, under
/// the same paths.
fn mirrored(origin: &Liar, mirror: &Liar) -> Registry {
    let mirrors = vec![format!("{}=http://{}", origin.host, mirror.host).parse().unwrap()];
    Registry::new(RegistryOptions { mirrors, ..options() })
}

/// Credentials for both, which are not each other's.
fn access(origin: &Liar, mirror: &Liar) -> Access {
    let mut keyring = Keyring::default();
    keyring.add_password(&origin.host, "origin", "one");
    keyring.add_password(&mirror.host, "mirror", "two");
    Access::new(AccessParts { keyring, insecure: true, ..AccessParts::default() })
}

/// Makes the server want Basic credentials.
fn guard(liar: &Liar, expected: &'static str) {
    liar.lie(move |seen| {
        let known = seen.authorization.as_deref() == Some(expected);
        (!known).then(|| reply(401, &[("www-authenticate", "Basic realm=x")], ""))
    });
}

const ORIGIN: &str = "Basic b3JpZ2luOm9uZQ==";
const MIRROR: &str = "Basic bWlycm9yOnR3bw==";

#[tokio::test]
async fn content_is_read_from_the_mirror_and_tags_from_the_origin() {
    let (origin, mirror) = (Liar::start().await, Liar::start().await);
    let digest = origin.artifact("1.0", YAML);
    mirror.artifact("1.0", YAML);
    guard(&origin, ORIGIN);
    guard(&mirror, MIRROR);
    let registry = mirrored(&origin, &mirror);
    let artifact =
        soon(pull(&registry, &origin.repository(), "1.0", &access(&origin, &mirror))).await.unwrap();
    assert_eq!(artifact.digest, digest);
    let methods: Vec<_> = origin.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, [Method::HEAD, Method::HEAD], "challenge and tag");
    let asked = mirror.asked();
    assert!(asked.len() == 3 && asked.iter().all(|asked| asked.starts_with("GET ")), "{asked:?}");
    // The origin's credentials were not shown to the mirror.
    assert!(mirror.seen().iter().all(|seen| seen.authorization.as_deref() != Some(ORIGIN)));
}

#[tokio::test]
async fn an_older_tag_of_the_mirror_counts_for_nothing() {
    let (origin, mirror) = (Liar::start().await, Liar::start().await);
    let digest = origin.artifact("1.0", YAML);
    mirror.artifact("1.0", "kind: Secret\n");
    let registry = mirrored(&origin, &mirror);
    let artifact =
        soon(pull(&registry, &origin.repository(), "1.0", &access(&origin, &mirror))).await.unwrap();
    assert_eq!(artifact.digest, digest);
    assert_eq!(artifact.files[0].1, YAML);
}

#[tokio::test]
async fn a_mirror_that_fails_in_any_way_is_replaced_by_the_origin() {
    type Habit = fn(&crate::liar::Seen) -> Option<axum::response::Response>;
    let habits: [Habit; 6] = [
        |_| Some(reply(404, &[], "")),
        |_| Some(reply(403, &[], "")),
        |_| Some(reply(500, &[("retry-after", "999")], "")),
        |_| Some(reply(200, &[], "kind: Secret\n")),
        |_| Some(reply(200, &[], crate::liar::endless())),
        |_| Some(reply(307, &[("location", "http://169.254.169.254/x")], "")),
    ];
    for (n, habit) in habits.into_iter().enumerate() {
        let (origin, mirror) = (Liar::start().await, Liar::start().await);
        let digest = origin.artifact("1.0", YAML);
        mirror.lie(habit);
        let registry = mirrored(&origin, &mirror);
        let pulled = soon(pull(&registry, &origin.repository(), "1.0", &access(&origin, &mirror))).await;
        assert_eq!(pulled.unwrap().digest, digest, "{n}");
        assert!(!mirror.asked().is_empty(), "{n}");
    }
}

#[tokio::test]
async fn a_mirror_that_is_away_is_left_alone_and_the_origin_says_what_is_wrong() {
    let (origin, mirror) = (Liar::start().await, Liar::start().await);
    let digest = origin.artifact("1.0", YAML);
    mirror.lie(|_| Some(reply(503, &[("retry-after", "999")], "")));
    let registry = mirrored(&origin, &mirror);
    let access = access(&origin, &mirror);
    soon(registry.fetch(&origin.repository(), &digest, &access, &Selection::default())).await.unwrap();
    assert_eq!(mirror.asked().len(), 1, "once for all content");
    let nowhere = supercargo::oci::Digest::of(b"nothing");
    let error = soon(registry.fetch(&origin.repository(), &nowhere, &access, &Selection::default()))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::ArtifactNotFound);
    assert!(error.to_string().starts_with(&origin.host), "{error}");
}

#[tokio::test]
async fn only_the_prefix_is_mirrored() {
    let (origin, mirror) = (Liar::start().await, Liar::start().await);
    origin.artifact("1.0", YAML);
    let mirrors = vec![format!("{}/other=http://{}", origin.host, mirror.host).parse().unwrap()];
    let observed: Arc<_> = Arc::new(Registry::new(RegistryOptions { mirrors, ..options() }));
    soon(pull(&observed, &origin.repository(), "1.0", &access(&origin, &mirror))).await.unwrap();
    let other = Repository::parse(&format!("oci://{}/other/app", origin.host)).unwrap();
    soon(pull(&observed, &other, "1.0", &access(&origin, &mirror))).await.unwrap_err();
    assert!(mirror.asked().is_empty(), "a tag is not asked of it");
}
