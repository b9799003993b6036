//! Registries that send other bytes than they were asked for, or too many.

use axum::http::Method;
use serde_json::json;
use supercargo::api::reason::Reason;
use supercargo::oci::{Access, ContentLimits, Digest, Registry, RegistryOptions, Selection};

use crate::liar::{Liar, access, endless, manifest, options, pull, reply, resolve, soon};

const YAML: &str = "kind: ConfigMap\n";

#[tokio::test]
async fn an_honest_registry_is_served_from() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.0", YAML);
    let registry = Registry::new(options());
    let artifact = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap();
    assert_eq!(artifact.digest, digest);
    assert_eq!(artifact.files, [("all.yaml".to_owned(), YAML.into())]);
    let asked = liar.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[0], "HEAD manifests/1.0");
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused() {
    let liar = Liar::start().await;
    let layer = Digest::of(YAML.as_bytes());
    let digest = liar.manifest("1.0", &manifest(&layer, YAML.len()));
    let registry = Registry::new(options());
    let (repository, access) = (liar.repository(), access(None));
    let lies: [(&str, &str); 5] = [
        ("blobs/", "kind: Deployment"),
        ("blobs/", "kind: ConfigMap\n# and more"),
        ("blobs/", "kind"),
        ("blobs/", ""),
        ("manifests/sha256", r#"{"schemaVersion":2,"layers":[]}"#),
    ];
    for (path, body) in lies {
        liar.repent();
        liar.lie(move |seen| {
            let lie = seen.method == Method::GET && seen.path.contains(path);
            lie.then(|| reply(200, &[("docker-content-digest", "sha256:beef")], body))
        });
        let error =
            soon(registry.fetch(&repository, &digest, &access, &Selection::default())).await.unwrap_err();
        assert_eq!(error.reason(), Reason::DigestMismatch, "{path} {body:?}: {error}");
    }
}

#[tokio::test]
async fn a_head_that_lies_about_the_digest_leads_to_nothing() {
    let liar = Liar::start().await;
    let good = liar.artifact("1.0", YAML);
    let other = "sha256:".to_owned() + &"b".repeat(64);
    for told in ["sha256:../../../etc", "", other.as_str()] {
        let told = told.to_owned();
        liar.repent();
        liar.lie(move |seen| {
            (seen.method == Method::HEAD).then(|| reply(200, &[("docker-content-digest", &told)], ""))
        });
        let registry = Registry::new(options());
        match soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await {
            // A header that is no digest is as good as none: the bytes decide.
            Ok(artifact) => assert_eq!(artifact.digest, good),
            Err(error) => assert_eq!(error.reason(), Reason::ArtifactNotFound, "{error}"),
        }
    }
}

#[tokio::test]
async fn promise_7_bodies_without_end_are_cut_off() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.0", YAML);
    let registry = Registry::new(options());
    let (repository, access) = (liar.repository(), access(None));
    for (path, reason) in [("blobs/", Reason::DigestMismatch), ("manifests/sha256", Reason::ArtifactTooLarge)]
    {
        liar.repent();
        liar.lie(move |seen| seen.path.contains(path).then(|| reply(200, &[], endless())));
        let error =
            soon(registry.fetch(&repository, &digest, &access, &Selection::default())).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{path}: {error}");
    }
    // Tags, tokens and error bodies have their ends, too.
    liar.repent();
    liar.lie(|seen| {
        seen.path.contains("manifests/").then(|| reply(500, &[("retry-after", "999")], endless()))
    });
    let error = soon(registry.fetch(&repository, &digest, &access, &Selection::default())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
    liar.repent();
    let realm = format!(r#"Bearer realm="http://{}/token",service="x""#, liar.host);
    liar.lie(move |seen| match seen.path.starts_with("/token") {
        true => Some(reply(200, &[], endless())),
        false => Some(reply(401, &[("www-authenticate", &realm)], endless())),
    });
    let error = soon(resolve(&registry, &repository, "1.0", &access)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::AuthenticationFailed, "{error}");
}

#[tokio::test]
async fn promise_7_sizes_beyond_the_limits_are_not_even_fetched() {
    let liar = Liar::start().await;
    let layer = liar.blob(YAML.as_bytes());
    let registry = Registry::new(RegistryOptions {
        limits: ContentLimits { layer: 1000, ..ContentLimits::default() },
        ..options()
    });
    liar.manifest("1.0", &manifest(&layer, 1001));
    let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArtifactTooLarge, "{error}");
    assert!(liar.asked().iter().all(|asked| !asked.contains("blobs/")));
}

/// An image has layers that only make a directory: they are no artifact without objects.
#[tokio::test]
async fn a_first_layer_without_files_is_passed_over() {
    let liar = Liar::start().await;
    let tar = |entries: &[(&str, bool)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, is_directory) in entries {
            let content = if *is_directory { "" } else { YAML };
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(if *is_directory {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    };
    let (workdir, empty) = (tar(&[("app", true)]), tar(&[]));
    let (first, second) = (tar(&[("app", true), ("app/a.yaml", false)]), tar(&[("app/b.yaml", false)]));
    let registry = Registry::new(options());
    let check = async |layers: &[&Vec<u8>], path: &str, expected: &[&str], unused: usize, fetched: usize| {
        let media_type = "application/vnd.oci.image.layer.v1.tar";
        let listed = layers.iter().map(|layer| {
            json!({"mediaType": media_type, "digest": liar.blob(layer).as_str(), "size": layer.len()})
        });
        let mut image = manifest(&Digest::of(b""), 0);
        image["layers"] = listed.collect::<Vec<_>>().into();
        let digest = liar.manifest("image", &image);
        liar.asked();
        let selection = Selection { path: path.to_owned(), ..Selection::default() };
        let found =
            soon(registry.fetch(&liar.repository(), &digest, &access(None), &selection)).await.unwrap();
        let names: Vec<&str> = found.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names.as_slice(), found.composition.unused_layers), (expected, unused));
        assert_eq!(liar.asked().iter().filter(|asked| asked.contains("blobs/")).count(), fetched);
        let used = found.composition.layers.iter().filter(|layer| layer.is_used).count();
        assert_eq!(used, 1);
    };
    check(&[&workdir, &first], "", &["app/a.yaml"], 0, 2).await;
    check(&[&empty, &workdir, &first, &second], "app", &["app/a.yaml"], 1, 3).await;
    check(&[&first, &second, &workdir], "", &["app/a.yaml"], 2, 1).await;
    check(&[&workdir, &empty], "", &[], 0, 2).await;
    check(&[&workdir], "app", &[], 0, 1).await;
}

/// Each problem of a file is reported with its name: a title of megabytes would multiply.
#[tokio::test]
async fn promise_7_the_title_of_a_layer_is_limited_as_a_name_in_an_archive_is() {
    let liar = Liar::start().await;
    let registry = Registry::new(options());
    let content = "a\n---\n".repeat(1000);
    let layer = liar.blob(content.as_bytes());
    let check = async |title: String, says: &str| {
        let mut manifest = manifest(&layer, content.len());
        manifest["layers"][0]["annotations"] = json!({"org.opencontainers.image.title": title});
        liar.manifest("1.0", &manifest);
        let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ArtifactInvalid, "{error}");
        let error = error.to_string();
        assert!(error.contains(says) && error.len() < 1000, "{} does not say {says:?}", error.len());
    };
    check("a".repeat(4_000_000) + ".yaml", "the title of layer 1 has 4000005 bytes, more than 4096").await;
    check("a".repeat(1020) + ".yaml", "has too long a name").await;
    check("a\u{1b}[2J.yaml".to_owned(), "has a backslash or a control character in its name").await;
}

#[tokio::test]
async fn manifests_that_mean_two_things_are_refused() {
    let liar = Liar::start().await;
    let layer = liar.blob(YAML.as_bytes());
    let mut both = manifest(&layer, YAML.len());
    both["manifests"] = json!([]);
    liar.manifest("both", &both);
    let mut encrypted = manifest(&layer, YAML.len());
    encrypted["annotations"] = json!({"kustomizer.dev/encrypted": "age-encryption.org/v1"});
    liar.manifest("encrypted", &encrypted);
    let mut checksum = manifest(&layer, YAML.len());
    checksum["annotations"] = json!({"kustomizer.dev/checksum": "00"});
    liar.manifest("checksum", &checksum);
    let registry = Registry::new(options());
    for (tag, says) in
        [("both", "both layers and manifests"), ("encrypted", "encrypted"), ("checksum", "checksum mismatch")]
    {
        let error = soon(pull(&registry, &liar.repository(), tag, &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ArtifactInvalid, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_index_is_followed_to_its_content_and_keeps_its_digest() {
    let liar = Liar::start().await;
    let child = liar.artifact("child", YAML);
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": child.as_str(), "size": 1,
    }]});
    let digest = liar.manifest("index", &index);
    let registry = Registry::new(options());
    let artifact = soon(pull(&registry, &liar.repository(), "index", &access(None))).await.unwrap();
    assert_eq!(artifact.digest, digest);
    assert_eq!(artifact.files.len(), 1);
}

/// No index can list itself, because its digest would have to be in it. One that lists another ends
/// there, whatever the type that it gives, and so does a registry that sends the same one again.
#[tokio::test]
async fn indexes_that_lead_in_circles_end() {
    let liar = Liar::start().await;
    let registry = Registry::new(options());
    let (repository, access) = (liar.repository(), access(None));
    let index = |child: &str, media_type: &str| json!({"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": child, "size": 2}]});
    let image = "application/vnd.oci.image.manifest.v1+json";
    let inner = liar.manifest("inner", &index(liar.artifact("1.0", YAML).as_str(), image));
    for media_type in [image, "application/vnd.oci.image.index.v1+json", "text/plain", ""] {
        liar.manifest("outer", &index(inner.as_str(), media_type));
        liar.asked();
        let error = soon(pull(&registry, &repository, "outer", &access)).await.unwrap_err();
        assert!(error.to_string().contains("an image index within an image index"), "{error}");
        assert!(liar.asked().len() <= 3);
    }
    let child = Digest::of(b"nothing");
    let outer = index(child.as_str(), image);
    liar.manifest("outer", &outer);
    let path = format!("/v2/team/app/manifests/{child}");
    liar.lie(move |seen| (seen.path == path).then(|| reply(200, &[], outer.to_string())));
    let error = soon(pull(&registry, &repository, "outer", &access)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DigestMismatch, "{error}");
}

#[tokio::test]
async fn promise_7_all_layers_together_have_a_bound() {
    let liar = Liar::start().await;
    let registry = Registry::new(options());
    let (repository, access) = (liar.repository(), access(None));
    let layer = liar.blob(YAML.as_bytes());
    let check = async |count: usize, size: u64, says: &str| {
        let one = json!({"mediaType": "application/yaml", "digest": layer.as_str(), "size": size});
        let mut manifest = manifest(&layer, YAML.len());
        manifest["layers"] = vec![one; count].into();
        let digest = liar.manifest("many", &manifest);
        liar.asked();
        let all = Selection { all_layers: true, ..Selection::default() };
        let error = soon(registry.fetch(&repository, &digest, &access, &all)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ArtifactTooLarge, "{error}");
        assert!(error.to_string().contains(says), "{error} does not say {says:?}");
        assert!(liar.asked().iter().all(|asked| !asked.contains("blobs/")), "{count} layers of {size}");
    };
    check(4097, 1, "its manifest lists 4097 layers or manifests, more than 4096").await;
    check(2000, YAML.len() as u64, "2000 layers with content, more than 128").await;
    check(128, 1 << 20, "its layers have 134217728 bytes together, more than 33554432").await;
    check(3, u64::MAX, "its layers have 18446744073709551615 bytes together").await;
}

#[tokio::test]
async fn a_size_that_is_not_the_layers_is_refused() {
    let liar = Liar::start().await;
    let layer = liar.blob(YAML.as_bytes());
    let registry = Registry::new(options());
    for size in [0, 1, YAML.len() - 1, YAML.len() + 1, 1 << 20] {
        liar.manifest("1.0", &manifest(&layer, size));
        let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::DigestMismatch, "{size}: {error}");
    }
    // Also where the right bytes are in the cache.
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new(RegistryOptions { cache_dir: Some(dir.path().to_owned()), ..options() });
    for (size, is_right) in [(YAML.len(), true), (1 << 20, false), (1, false), (YAML.len(), true)] {
        liar.manifest("1.0", &manifest(&layer, size));
        let found = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await;
        assert_eq!(
            found.map_err(|e| e.reason()).err(),
            (!is_right).then_some(Reason::DigestMismatch),
            "{size}"
        );
    }
    for digest in ["sha256:../../x", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "../../../etc/passwd"]
    {
        let mut lie = manifest(&layer, YAML.len());
        lie["layers"][0]["digest"] = digest.into();
        liar.manifest("1.0", &lie);
        liar.asked();
        let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ArtifactInvalid, "{digest}: {error}");
        assert!(error.to_string().contains("malformed digest"), "{error}");
        assert!(liar.asked().iter().all(|asked| !asked.contains("blobs/")));
    }
}

/// A descriptor may say where else its bytes are: nobody looks there.
#[tokio::test]
async fn the_urls_of_a_layer_are_not_followed() {
    let (liar, elsewhere) = (Liar::start().await, Liar::start().await);
    let missing = elsewhere.blob(YAML.as_bytes());
    let mut foreign = manifest(&missing, YAML.len());
    foreign["layers"][0]["urls"] = json!([format!("http://{}/v2/team/app/blobs/{missing}", elsewhere.host)]);
    liar.manifest("1.0", &foreign);
    let registry = Registry::new(options());
    let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArtifactNotFound, "{error}");
    assert_eq!(elsewhere.asked(), [""; 0]);
}

/// Registries send readers to stores by URLs that are credentials themselves.
#[tokio::test]
async fn a_signed_url_is_in_no_message() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.0", YAML);
    let (repository, access) = (liar.repository(), access(None));
    let host = liar.host.clone();
    let targets = [
        "http://127.0.0.1:1/store?sig=hunter2".to_owned(),
        format!("http://{host}/missing?sig=hunter2"),
        format!("http://user:hunter2@{host}/missing"),
        "ftp://127.0.0.1/store?sig=hunter2".to_owned(),
    ];
    for target in targets {
        liar.repent();
        let location = target.clone();
        liar.lie(move |seen| {
            let blob = seen.path.contains("/blobs/");
            blob.then(|| reply(307, &[("location", &location)], ""))
        });
        let registry = Registry::new(options());
        let error =
            soon(registry.fetch(&repository, &digest, &access, &Selection::default())).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{target}: {error:?}");
    }
}

#[tokio::test]
async fn without_being_told_to_nothing_is_sent_in_the_clear() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let access = Access::anonymous();
    let error = soon(pull(&Registry::new(options()), &liar.repository(), "1.0", &access)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
    assert_eq!(liar.asked(), [""; 0]);
}
