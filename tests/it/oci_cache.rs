//! What is kept on disk, and whom it serves.

use std::fs;
use std::path::{Path, PathBuf};

use axum::http::Method;
use supercargo::api::reason::Reason;
use supercargo::oci::{Access, Digest, Registry, RegistryOptions, Repository, Selection, StrayTag};

use crate::liar::{Liar, access, manifest, options, pull, reply, soon, wanted};

const YAML: &str = "kind: ConfigMap\n";

fn cached(dir: &Path) -> Registry {
    Registry::new(RegistryOptions { cache_dir: Some(dir.to_owned()), ..options() })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

async fn fetch(
    registry: &Registry,
    repository: &Repository,
    digest: &Digest,
    access: &Access,
) -> Result<usize, Reason> {
    let fetched = soon(registry.fetch(repository, digest, access, &Selection::default())).await;
    fetched.map(|artifact| artifact.files.len()).map_err(|e| e.reason())
}

#[tokio::test]
async fn content_is_fetched_once_and_outlives_the_process() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    liar.artifact("1.0", YAML);
    let registry = cached(dir.path());
    let (repository, access) = (liar.repository(), access(None));
    for expected in [3, 1, 1] {
        soon(pull(&registry, &repository, "1.0", &access)).await.unwrap();
        assert_eq!(liar.asked().len(), expected);
    }
    drop(registry);
    soon(pull(&cached(dir.path()), &repository, "1.0", &access)).await.unwrap();
    assert_eq!(liar.asked(), ["HEAD manifests/1.0"]);
}

/// After a restart nobody has proved anything yet.
#[tokio::test]
async fn by_digest_the_first_use_asks_the_registry() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let digest = liar.artifact("1.0", YAML);
    let (repository, access) = (liar.repository(), access(None));
    assert_eq!(fetch(&cached(dir.path()), &repository, &digest, &access).await, Ok(1));
    liar.asked();
    let registry = cached(dir.path());
    assert_eq!(fetch(&registry, &repository, &digest, &access).await, Ok(1));
    assert_eq!(liar.asked(), [format!("HEAD manifests/{digest}")]);
    assert_eq!(fetch(&registry, &repository, &digest, &access).await, Ok(1));
    assert!(liar.asked().is_empty());
}

#[tokio::test]
async fn the_cache_is_no_way_around_authorization() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let digest = liar.artifact("1.0", YAML);
    liar.lie(|seen| {
        let known = seen.authorization.as_deref() == Some("Basic dXNlcjpzZXNhbWU=");
        (!known).then(|| reply(401, &[("www-authenticate", "Basic realm=x")], ""))
    });
    let registry = cached(dir.path());
    let repository = liar.repository();
    let owner = access(Some((&liar.host, "user", "sesame")));
    assert_eq!(fetch(&registry, &repository, &digest, &owner).await, Ok(1));
    let denied = Err(Reason::AuthenticationFailed);
    assert_eq!(fetch(&registry, &repository, &digest, &access(None)).await, denied);
    let stranger = access(Some((&liar.host, "user", "guess")));
    assert_eq!(fetch(&registry, &repository, &digest, &stranger).await, denied);
    assert_eq!(fetch(&registry, &repository, &digest, &owner).await, Ok(1));
    for status in [403, 404] {
        liar.repent();
        liar.lie(move |_| Some(reply(status, &[], "")));
        assert!(fetch(&registry, &repository, &digest, &stranger).await.is_err());
    }
}

/// A tag that the access can read proves nothing about a digest that it does not name.
#[tokio::test]
async fn a_tag_that_strays_from_its_digest_grants_nothing() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let digest = liar.artifact("1.0", YAML);
    let registry = cached(dir.path());
    let (repository, owner) = (liar.repository(), access(Some((&liar.host, "user", "sesame"))));
    let pinned = wanted(&format!("1.0@{digest}"));
    let resolved = soon(registry.resolve(&repository, &pinned, &owner)).await.unwrap();
    assert_eq!((&resolved.digest, &resolved.stray), (&digest, &None));
    assert_eq!(fetch(&registry, &repository, &digest, &owner).await, Ok(1));

    let moved = liar.artifact("1.0", "kind: Secret\n");
    let hidden = format!("/v2/team/app/manifests/{digest}");
    liar.lie(move |seen| (seen.path == hidden).then(|| reply(404, &[], "")));
    let stranger = access(None);
    let resolved = soon(registry.resolve(&repository, &pinned, &stranger)).await.unwrap();
    assert_eq!((&resolved.digest, &resolved.stray), (&digest, &Some(StrayTag::Other(moved))));
    assert_eq!(resolved.revision, format!("1.0@{digest}"));
    let denied = Err(Reason::ArtifactNotFound);
    assert_eq!(fetch(&registry, &repository, &digest, &stranger).await, denied);
    assert_eq!(fetch(&registry, &repository, &digest, &owner).await, Ok(1));

    // No answer, and a refusal, say nothing of the tag.
    for (status, reason) in [(503, Reason::RegistryUnavailable), (401, Reason::AuthenticationFailed)] {
        liar.repent();
        liar.lie(move |_| Some(reply(status, &[("www-authenticate", "Basic realm=x")], "")));
        let error = soon(registry.resolve(&repository, &pinned, &owner)).await.unwrap_err();
        assert_eq!(error.reason(), reason);
    }
    liar.repent();
    liar.lie(|_| Some(reply(404, &[], "")));
    let resolved = soon(registry.resolve(&repository, &pinned, &owner)).await.unwrap();
    assert_eq!(resolved.stray, Some(StrayTag::Gone));
}

#[tokio::test]
async fn another_repository_does_not_share_the_entry() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let digest = liar.artifact("1.0", YAML);
    let registry = cached(dir.path());
    assert_eq!(fetch(&registry, &liar.repository(), &digest, &access(None)).await, Ok(1));
    let other = Repository::parse(&format!("oci://{}/evil/app", liar.host)).unwrap();
    assert_eq!(fetch(&registry, &other, &digest, &access(None)).await, Err(Reason::ArtifactNotFound));
}

/// Whoever may push somewhere can name any digest: a layer is not served from
/// what was cached for another repository.
#[tokio::test]
async fn a_manifest_cannot_borrow_a_layer_of_another_repository() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let digest = liar.artifact("1.0", YAML);
    let registry = cached(dir.path());
    assert_eq!(fetch(&registry, &liar.repository(), &digest, &access(None)).await, Ok(1));
    let borrowing = manifest(&Digest::of(YAML.as_bytes()), YAML.len()).to_string();
    let named = Digest::of(borrowing.as_bytes());
    let path = format!("/v2/evil/app/manifests/{named}");
    liar.lie(move |seen| (seen.path == path).then(|| reply(200, &[], borrowing.clone())));
    let evil = Repository::parse(&format!("oci://{}/evil/app", liar.host)).unwrap();
    assert_eq!(fetch(&registry, &evil, &named, &access(None)).await, Err(Reason::ArtifactNotFound));
}

#[tokio::test]
async fn damaged_entries_are_fetched_again() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let digest = liar.artifact("1.0", YAML);
    let registry = cached(dir.path());
    let (repository, access) = (liar.repository(), access(None));
    assert_eq!(fetch(&registry, &repository, &digest, &access).await, Ok(1));
    let stored = files(dir.path());
    assert_eq!(stored.len(), 2, "manifest and layer");
    for path in &stored {
        fs::write(path, b"kind: Malicious\n").unwrap();
    }
    liar.asked();
    assert_eq!(fetch(&registry, &repository, &digest, &access).await, Ok(1));
    assert_eq!(liar.asked().len(), 2);
    assert_eq!(fetch(&registry, &repository, &digest, &access).await, Ok(1));
    assert!(liar.asked().is_empty());
}

#[tokio::test]
async fn the_cache_stays_within_its_size() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let max = 16 << 10;
    let registry = Registry::new(RegistryOptions {
        cache_dir: Some(dir.path().to_owned()),
        cache_max_size: max,
        ..options()
    });
    for n in 0..20 {
        let tag = format!("1.0.{n}");
        liar.artifact(&tag, &format!("kind: ConfigMap # {n} {}\n", "x".repeat(2000)));
        soon(pull(&registry, &liar.repository(), &tag, &access(None))).await.unwrap();
    }
    let used: u64 = files(dir.path()).iter().map(|f| fs::metadata(f).unwrap().len()).sum();
    assert!(used > 0 && used <= max, "{used}");
    liar.asked();
    soon(pull(&registry, &liar.repository(), "1.0.19", &access(None))).await.unwrap();
    assert_eq!(liar.asked(), ["HEAD manifests/1.0.19"], "the newest is kept");
}

#[tokio::test]
async fn without_a_usable_directory_there_is_no_cache() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"not a directory").unwrap();
    liar.artifact("1.0", YAML);
    let registry = cached(&file);
    for _ in 0..2 {
        soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap();
        assert_eq!(liar.asked().len(), 3);
    }
}

#[tokio::test]
async fn half_written_files_are_swept() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let digest = liar.artifact("1.0", YAML);
    assert_eq!(fetch(&cached(dir.path()), &liar.repository(), &digest, &access(None)).await, Ok(1));
    let left = files(dir.path())[0].with_file_name(".tmpabc");
    fs::write(&left, b"half").unwrap();
    drop(cached(dir.path()));
    assert!(!left.exists());
    assert_eq!(files(dir.path()).len(), 2);
    assert!(liar.seen().iter().all(|seen| seen.method != Method::PUT));
}
