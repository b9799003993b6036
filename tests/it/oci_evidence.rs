//! Signatures beside a digest: where they are looked for, what cannot hide them,
//! and where looking ends.

use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};
use supercargo::api::reason::Reason;
use supercargo::domain::verify::evidence::{Content, Evidence, SimpleSigning};
use supercargo::oci::{Digest, OciError, Registry, RegistryOptions};

use crate::liar::{Liar, Seen, access, endless, options, reply, soon};

const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry with an artifact, and what lies beside it.
struct Shelf {
    liar: Liar,
    digest: Digest,
}

impl Shelf {
    async fn new() -> Self {
        let liar = Liar::start().await;
        let digest = liar.artifact("1.0", "kind: ConfigMap\n");
        Self { liar, digest }
    }

    fn tag(&self) -> String {
        format!("sha256-{}", self.digest.hex())
    }

    /// A layer with a payload that is stored.
    fn payload(&self, payload: &str, signature: &str) -> Value {
        let digest = self.liar.blob(payload.as_bytes());
        layer(&digest, payload.len(), signature)
    }

    fn sign(&self, layers: &[Value]) {
        self.liar.manifest(&format!("{}.sig", self.tag()), &image(layers));
    }

    /// A manifest with a bundle about the subject, and its entry in a list.
    fn bundle(&self, bundle: &str, subject: Option<&Digest>) -> Value {
        let blob = self.liar.blob(bundle.as_bytes());
        let mut manifest = image(&[descriptor(BUNDLE, &blob, bundle.len())]);
        if let Some(subject) = subject {
            manifest["subject"] = descriptor("application/vnd.oci.image.manifest.v1+json", subject, 1);
        }
        self.referrer(&manifest)
    }

    /// The entry of a stored manifest in a list.
    fn referrer(&self, manifest: &Value) -> Value {
        let digest = self.liar.manifest("x", manifest);
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &digest, 1);
        entry["artifactType"] = BUNDLE.into();
        entry
    }

    /// Has the referrers API answer with these.
    fn list(&self, entries: &[Value]) {
        let body = index(entries).to_string();
        self.referrers(move |_| reply(200, &[("content-type", INDEX)], body.clone()));
    }

    fn referrers(&self, answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) {
        self.liar.lie(move |seen| seen.path.contains("/referrers/").then(|| answer(seen)));
    }

    async fn try_look(&self) -> Result<Evidence, OciError> {
        look(&Registry::new(options()), self).await
    }

    async fn look(&self) -> Evidence {
        self.try_look().await.unwrap()
    }
}

async fn look(registry: &Registry, shelf: &Shelf) -> Result<Evidence, OciError> {
    let access = access(None);
    soon(registry.evidence(&shelf.liar.repository(), &shelf.digest, &access)).await
}

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest.as_str(), "size": size})
}

fn layer(digest: &Digest, size: usize, signature: &str) -> Value {
    let mut layer = descriptor(SIMPLE, digest, size);
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
    layer
}

fn image(layers: &[Value]) -> Value {
    let config = descriptor(EMPTY, &Digest::of(b"{}"), 2);
    json!({"schemaVersion": 2, "config": config, "layers": layers})
}

fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
}

/// What was found, in short: `s:<payload>:<signature>` and `b:<bundle>`.
fn short(evidence: &Evidence) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let short = |content: &Content| match content {
        Content::SimpleSigning(s) => format!("s:{}:{}", text(&s.payload), s.signature),
        Content::Bundle(bundle) => format!("b:{}", text(bundle)),
    };
    evidence.found.iter().map(|found| short(&found.content)).collect()
}

#[track_caller]
fn skipped(evidence: &Evidence, says: &str) {
    let skipped = &evidence.skipped;
    assert!(skipped.iter().any(|note| note.contains(says)), "{says:?} is not in {skipped:#?}");
}

#[tokio::test]
async fn nothing_beside_it_is_no_evidence_and_no_error() {
    let shelf = Shelf::new().await;
    let evidence = tokio::spawn(async move { shelf.look().await }).await.unwrap();
    assert_eq!(evidence, Evidence::default());
}

#[tokio::test]
async fn what_does_not_exist_is_not_told_to_be_unsigned() {
    let shelf = Shelf::new().await;
    let absent = Shelf { liar: shelf.liar.clone(), digest: Digest::of(b"another") };
    let error = absent.try_look().await.unwrap_err();
    assert!(matches!(error, OciError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn cosigns_tag_is_read_with_all_that_stands_at_its_layers() {
    let shelf = Shelf::new().await;
    let mut full = shelf.payload("two", "c2ln");
    full["annotations"] = json!({
        "dev.cosignproject.cosign/signature": "c2ln",
        "dev.sigstore.cosign/certificate": "a certificate",
        "dev.sigstore.cosign/chain": "a chain",
        "dev.sigstore.cosign/bundle": "a log entry",
        "dev.sigstore.cosign/rfc3161timestamp": "a timestamp",
        "predicateType": "",
    });
    for kind in ["application/vnd.oci.image.manifest.v1+json", DOCKER] {
        let mut manifest = image(&[shelf.payload("one", "a"), full.clone(), shelf.payload("one", "b")]);
        manifest["mediaType"] = kind.into();
        shelf.liar.manifest(&format!("{}.sig", shelf.tag()), &manifest);
        shelf.liar.asked();
        let evidence = shelf.look().await;
        assert_eq!(short(&evidence), ["s:one:a", "s:two:c2ln", "s:one:b"]);
        assert_eq!(evidence.skipped, [""; 0]);
        let expected = SimpleSigning {
            payload: b"two".to_vec(),
            signature: "c2ln".into(),
            certificate: Some("a certificate".into()),
            chain: Some("a chain".into()),
            bundle: Some("a log entry".into()),
            timestamp: Some("a timestamp".into()),
        };
        assert_eq!(evidence.found[1].content, Content::SimpleSigning(expected));
        assert_eq!(evidence.found[1].place, format!("tag {}.sig, layer 2", shelf.tag()));
        // Three places, and each payload once.
        assert_eq!(shelf.liar.asked().len(), 5);
    }
}

#[tokio::test]
async fn one_signature_costs_four_requests_and_one_bundle_five() {
    let shelf = Shelf::new().await;
    shelf.sign(&[shelf.payload("one", "a")]);
    shelf.liar.asked();
    shelf.look().await;
    let asked = shelf.liar.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");

    let shelf = Shelf::new().await;
    let entry = shelf.bundle("one", Some(&shelf.digest));
    shelf.liar.manifest(&shelf.tag(), &index(&[entry]));
    shelf.liar.asked();
    let dir = tempfile::tempdir().unwrap();
    let registry = cached(dir.path());
    for requests in [5, 3] {
        assert_eq!(short(&look(&registry, &shelf).await.unwrap()), ["b:one"]);
        let asked = shelf.liar.asked();
        assert_eq!(asked.len(), requests, "{asked:?}");
    }
}

/// Who names the good bytes with another size hides nothing, also not on the disk.
#[tokio::test]
async fn a_wrong_size_of_the_same_bytes_hides_nothing() {
    let shelf = Shelf::new().await;
    let blob = shelf.liar.blob(b"good");
    let junk = |size: usize| {
        let mut manifest = image(&[descriptor(BUNDLE, &blob, size)]);
        manifest["subject"] = descriptor("x/y", &shelf.digest, 1);
        shelf.referrer(&manifest)
    };
    shelf.sign(&[layer(&blob, 1, "junk"), layer(&blob, 5, "junk")]);
    shelf.list(&[junk(1), junk(3), junk(5), shelf.bundle("good", Some(&shelf.digest)), junk(6)]);
    let dir = tempfile::tempdir().unwrap();
    let registry = cached(dir.path());
    for _ in 0..2 {
        let evidence = look(&registry, &shelf).await.unwrap();
        assert_eq!(short(&evidence), ["b:good"]);
        skipped(&evidence, "does not match the digest");
        assert_eq!(evidence.skipped.len(), 6, "{:?}", evidence.skipped);
    }
    shelf.liar.asked();
    look(&registry, &shelf).await.unwrap();
    assert!(shelf.liar.asked().iter().all(|path| !path.contains("blobs/")), "the good bytes are kept");
    shelf.liar.repent();
    shelf.liar.lie(|_| Some(reply(500, &[], "")));
    assert_eq!(short(&look(&registry, &shelf).await.unwrap()), ["b:good"]);
}

/// Each place holds something good and something bad, and all of it is evidence.
#[tokio::test]
async fn what_is_in_one_place_hides_nothing_in_another() {
    let shelf = Shelf::new().await;
    let here = Some(&shelf.digest);
    shelf.sign(&[shelf.payload("junk", "junk"), shelf.payload("good", "good")]);
    shelf.list(&[shelf.bundle("junk from the API", here), shelf.bundle("good from the API", here)]);
    let also = shelf.bundle("good from the API", here);
    shelf.liar.manifest(&shelf.tag(), &index(&[also, shelf.bundle("good from the tag", here)]));
    let evidence = shelf.look().await;
    assert_eq!(
        short(&evidence),
        ["s:junk:junk", "s:good:good", "b:junk from the API", "b:good from the API", "b:good from the tag"]
    );
    assert_eq!(evidence.skipped, [""; 0]);
}

#[tokio::test]
async fn a_registry_without_the_api_has_the_tag() {
    let shelf = Shelf::new().await;
    let entry = shelf.bundle("one", Some(&shelf.digest));
    shelf.liar.manifest(&shelf.tag(), &index(&[entry]));
    let answers: [(u16, &str, &str); 9] = [
        (404, "application/json", r#"{"errors":[{"code":"NOT_FOUND"}]}"#),
        (404, "text/plain", "404 page not found"),
        (400, "application/json", "{}"),
        (405, "application/json", r#"{"errors":[{"code":"UNSUPPORTED"}]}"#),
        (406, "", ""),
        (410, "", ""),
        (501, "", ""),
        (200, "text/html", "<!doctype html><title>Registry</title>"),
        (200, "application/json", ""),
    ];
    for (status, kind, body) in answers {
        shelf.liar.repent();
        shelf.referrers(move |_| reply(status, &[("content-type", kind)], body));
        assert_eq!(short(&shelf.look().await), ["b:one"], "{status} {kind}");
    }
}

/// Distribution specification 1.1: a registry may filter, and says so; ghcr.io
/// reports the config's type; others report none.
#[tokio::test]
async fn the_artifact_type_of_a_list_is_not_relied_on() {
    for told in [
        json!(BUNDLE),
        json!(EMPTY),
        json!(""),
        Value::Null,
        json!("application/vnd.dev.sigstore.bundle+json;version=0.2"),
    ] {
        let shelf = Shelf::new().await;
        let mut entry = shelf.bundle("one", Some(&shelf.digest));
        entry["artifactType"] = told.clone();
        let body = index(&[entry]).to_string();
        shelf.referrers(move |seen| match seen.path.contains("artifactType") {
            true => reply(200, &[("oci-filters-applied", "artifactType")], index(&[]).to_string()),
            false => reply(200, &[], body.clone()),
        });
        assert_eq!(short(&shelf.look().await), ["b:one"], "{told}");
    }
}

#[tokio::test]
async fn what_refers_to_it_and_is_no_signature_is_passed_over() {
    let shelf = Shelf::new().await;
    let mut sbom = shelf.bundle("never asked for", Some(&shelf.digest));
    sbom["artifactType"] = "application/spdx+json".into();
    let text = shelf.liar.blob(b"text");
    let mut note = shelf.referrer(&image(&[descriptor("text/plain", &text, 4)]));
    note["artifactType"] = Value::Null;
    shelf.list(&[sbom, note, shelf.bundle("one", Some(&shelf.digest))]);
    let evidence = shelf.look().await;
    assert_eq!(short(&evidence), ["b:one"]);
    assert_eq!(evidence.skipped, [""; 0]);
}

/// GitLab takes the tag `sha256-…` for the digest itself, which may be an index.
#[tokio::test]
async fn a_tag_that_is_the_digest_itself_is_no_list() {
    let mut shelf = Shelf::new().await;
    let child = shelf.liar.artifact("child", "kind: Secret\n");
    let image_index = index(&[descriptor("application/vnd.oci.image.manifest.v1+json", &child, 1)]);
    shelf.digest = shelf.liar.manifest("index", &image_index);
    for manifest in [&image_index, &json!({"schemaVersion": 2, "layers": []})] {
        shelf.digest = shelf.liar.manifest("index", manifest);
        shelf.liar.manifest(&shelf.tag(), manifest);
        assert_eq!(shelf.look().await, Evidence::default());
    }
}

/// Each lie beside a good bundle: it is skipped with its reason, and hides nothing.
#[tokio::test]
async fn a_referrer_that_lies_is_skipped_and_says_why() {
    let shelf = Shelf::new().await;
    let ours = Some(&shelf.digest);
    let other = Digest::of(b"other");
    let subject = |mut manifest: Value| {
        manifest["subject"] = descriptor("x/y", &shelf.digest, 1);
        shelf.referrer(&manifest)
    };
    let blob = shelf.liar.blob(b"bundle");
    let of = |digest: &str, size: u64| json!({"mediaType": BUNDLE, "digest": digest, "size": size});
    let entry = |digest: &str| json!({"digest": digest, "size": 1, "artifactType": BUNDLE});
    let layer = of(blob.as_str(), 6);
    let both = {
        let mut both = image(std::slice::from_ref(&layer));
        both["manifests"] = json!([]);
        both
    };
    let missing = Digest::of(b"missing");
    let lies: Vec<(Value, &str)> = vec![
        (shelf.bundle("for another", Some(&other)), "not to this digest"),
        (shelf.bundle("for nobody", None), "does not say which digest"),
        (subject(image(&[])), "contains no bundle"),
        (subject(image(&[layer.clone(), layer.clone()])), "contains 2 bundles"),
        (subject(both), "both layers and manifests"),
        (subject(index(&[])), "it is an index"),
        (subject(image(&[of("sha256:../../../etc/passwd", 6)])), "malformed digest"),
        (subject(image(&[of(blob.as_str(), 5)])), "does not match the digest"),
        (subject(image(&[of(blob.as_str(), 7)])), "does not match the digest"),
        (subject(image(&[of(blob.as_str(), (1 << 20) + 1)])), "1048577 bytes, more than 1048576"),
        (subject(image(&[of(missing.as_str(), 6)])), "was not found"),
        (entry(missing.as_str()), "was not found"),
    ];
    let good = shelf.bundle("good", ours);
    for (lie, says) in &lies {
        shelf.liar.repent();
        shelf.list(&[lie.clone(), good.clone()]);
        let evidence = shelf.look().await;
        assert_eq!(short(&evidence), ["b:good"], "{says}");
        skipped(&evidence, says);
        assert_eq!(evidence.skipped.len(), 1, "{:?}", evidence.skipped);
        // Alone it is no evidence and no outage.
        shelf.liar.repent();
        shelf.list(std::slice::from_ref(lie));
        assert_eq!(short(&shelf.look().await), [""; 0], "{says}");
    }
    // A digest that is none cannot be asked for.
    shelf.liar.repent();
    shelf.list(&[entry("sha256:../../x"), good]);
    assert_eq!(short(&shelf.look().await), ["b:good"]);
    assert!(shelf.liar.asked().iter().all(|path| !path.contains("..")));
}

#[tokio::test]
async fn a_layer_that_lies_is_skipped_and_says_why() {
    let shelf = Shelf::new().await;
    let payload = shelf.liar.blob(b"payload");
    let missing = Digest::of(b"missing");
    let mut typed = layer(&payload, 7, "sig");
    typed["mediaType"] = "text/html".into();
    let mut named = layer(&payload, 7, "sig");
    named["digest"] = "sha256:../../x".into();
    let lies = [
        (layer(&payload, 7, ""), "payload but no signature"),
        (typed, "type \"text/html\", not a signature"),
        (named, "digest is malformed"),
        (layer(&payload, 6, "sig"), "does not match the digest"),
        (layer(&payload, 8, "sig"), "does not match the digest"),
        (layer(&missing, 8, "sig"), "was not found"),
        (layer(&payload, (64 << 10) + 1, "sig"), "65537 bytes, more than 65536"),
    ];
    for (lie, says) in lies {
        shelf.sign(&[lie, shelf.payload("good", "good")]);
        let evidence = shelf.look().await;
        assert_eq!(short(&evidence), ["s:good:good"], "{says}");
        skipped(&evidence, says);
    }
    for (manifest, says) in [
        (index(&[]), "it is an index"),
        (json!({"schemaVersion": 2}), "neither layers nor manifests"),
        (json!([]), "not a JSON object"),
    ] {
        shelf.liar.manifest(&format!("{}.sig", shelf.tag()), &manifest);
        let evidence = shelf.look().await;
        assert_eq!(short(&evidence), [""; 0], "{says}");
        skipped(&evidence, says);
    }
}

/// Evidence that could not be looked for is not evidence that there is none.
#[tokio::test]
async fn a_place_that_cannot_be_looked_into_is_an_error() {
    let shelf = Shelf::new().await;
    shelf.sign(&[shelf.payload("good", "good")]);
    let places = [
        format!("/manifests/{}.sig", shelf.tag()),
        "/referrers/".into(),
        format!("/manifests/{}", shelf.tag()),
    ];
    for place in places {
        for (status, reason) in [
            (401, Reason::AuthenticationFailed),
            (403, Reason::AuthenticationFailed),
            (429, Reason::RegistryUnavailable),
            (500, Reason::RegistryUnavailable),
        ] {
            shelf.liar.repent();
            let place = place.clone();
            shelf.liar.lie(move |seen| {
                seen.path.ends_with(&place).then_some(()).or(place
                    .ends_with("referrers/")
                    .then_some(())
                    .filter(|()| seen.path.contains(&place)))?;
                let wait: &[_] = if status == 429 { &[("retry-after", "99999")] } else { &[] };
                Some(reply(status, wait, ""))
            });
            let error = shelf.try_look().await.unwrap_err();
            assert_eq!(error.reason(), reason, "{status}: {error}");
        }
    }
    // The same outage, the same message.
    shelf.liar.repent();
    shelf.liar.lie(|_| Some(reply(500, &[], "")));
    let first = shelf.try_look().await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(shelf.try_look().await.unwrap_err(), first);
    }
}

/// A referrer or a payload that the registry does not give out for now: with
/// others it is skipped, alone it is an outage.
#[tokio::test]
async fn one_that_cannot_be_read_now_is_skipped_beside_others() {
    let shelf = Shelf::new().await;
    let (good, bad) = (shelf.bundle("good", Some(&shelf.digest)), shelf.bundle("bad", Some(&shelf.digest)));
    let blob = Digest::of(b"bad").to_string();
    let manifest = bad["digest"].as_str().unwrap().to_owned();
    for hidden in [blob, manifest] {
        for (status, reason) in [(403, Reason::AuthenticationFailed), (500, Reason::RegistryUnavailable)] {
            let hide = |hidden: String| {
                shelf.liar.repent();
                shelf.liar.lie(move |seen| seen.path.ends_with(&hidden).then(|| reply(status, &[], "")));
            };
            hide(hidden.clone());
            shelf.list(&[bad.clone(), good.clone()]);
            let evidence = shelf.look().await;
            assert_eq!(short(&evidence), ["b:good"]);
            skipped(&evidence, &status.to_string());
            hide(hidden.clone());
            shelf.list(std::slice::from_ref(&bad));
            let error = shelf.try_look().await.unwrap_err();
            assert_eq!(error.reason(), reason, "{error}");
        }
    }
}

fn cached(dir: &std::path::Path) -> Registry {
    Registry::new(RegistryOptions { cache_dir: Some(dir.to_owned()), ..options() })
}

/// While the registry is away, what was found before is judged; also after a
/// restart, and only for who has found it.
#[tokio::test]
async fn evidence_outlives_the_registry_and_the_process() {
    let shelf = Shelf::new().await;
    shelf.sign(&[shelf.payload("one", "a")]);
    shelf.list(&[shelf.bundle("two", Some(&shelf.digest))]);
    let dir = tempfile::tempdir().unwrap();
    let found = look(&cached(dir.path()), &shelf).await.unwrap();
    assert_eq!(short(&found), ["s:one:a", "b:two"]);

    let answers = |status: u16| {
        shelf.liar.repent();
        shelf.liar.lie(move |_| Some(reply(status, &[], "")));
    };
    answers(500);
    let restarted = cached(dir.path());
    let kept = look(&restarted, &shelf).await.unwrap();
    assert_eq!(kept.found, found.found);
    skipped(&kept, "answered 500");
    skipped(&kept, "using the signatures found before");
    let stranger = access(Some((&shelf.liar.host, "user", "guess")));
    let repository = shelf.liar.repository();
    let other = soon(restarted.evidence(&repository, &shelf.digest, &stranger)).await.unwrap_err();
    assert_eq!(other.reason(), Reason::RegistryUnavailable);

    // A registry that refuses is not away, whatever else it does.
    for status in [401, 403] {
        answers(status);
        let error = look(&restarted, &shelf).await.unwrap_err();
        assert_eq!(error.reason(), Reason::AuthenticationFailed, "{error}");
    }
    shelf.liar.repent();
    shelf.liar.lie(|seen| {
        let status = if seen.path.contains("/referrers/") { 403 } else { 500 };
        Some(reply(status, &[], ""))
    });
    let error = look(&restarted, &shelf).await.unwrap_err();
    assert_eq!(error.reason(), Reason::AuthenticationFailed, "{error}");

    // What is gone is gone, also from the disk.
    shelf.liar.repent();
    shelf.liar.lie(|seen| {
        let beside = seen.path.contains("/referrers/") || seen.path.contains("/manifests/sha256-");
        beside.then(|| reply(404, &[], ""))
    });
    assert_eq!(look(&restarted, &shelf).await.unwrap(), Evidence::default());
    answers(500);
    assert_eq!(look(&cached(dir.path()), &shelf).await.unwrap().found, []);
}

#[tokio::test]
async fn kept_evidence_that_is_damaged_or_not_whole_is_not_used() {
    let shelf = Shelf::new().await;
    let bundle = shelf.bundle("two", Some(&shelf.digest));
    shelf.list(std::slice::from_ref(&bundle));
    shelf.sign(&[shelf.payload("one", "a")]);
    let dir = tempfile::tempdir().unwrap();
    let found = look(&cached(dir.path()), &shelf).await.unwrap();
    // A part of it is not kept in place of the whole.
    let manifest = bundle["digest"].as_str().unwrap().to_owned();
    shelf.liar.lie(move |seen| seen.path.ends_with(&manifest).then(|| reply(403, &[], "")));
    let mut files = Vec::new();
    for scope in std::fs::read_dir(dir.path().join("v1")).unwrap() {
        files.extend(std::fs::read_dir(scope.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    let told = |path: &std::path::PathBuf| path.ends_with(shelf.digest.hex());
    let (told, content): (Vec<_>, Vec<_>) = files.into_iter().partition(told);
    assert_eq!(told.len(), 1);
    for file in content {
        std::fs::remove_file(file).unwrap();
    }
    let part = look(&cached(dir.path()), &shelf).await.unwrap();
    assert_eq!(short(&part), ["s:one:a"]);
    shelf.liar.repent();
    shelf.liar.lie(|_| Some(reply(500, &[], "")));
    assert_eq!(look(&cached(dir.path()), &shelf).await.unwrap().found, found.found);

    let mut bytes = std::fs::read(&told[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&told[0], bytes).unwrap();
    assert!(look(&cached(dir.path()), &shelf).await.is_err());
    assert!(!told[0].exists());
}

#[tokio::test]
async fn promise_7_ten_thousand_signatures_are_sixty_four() {
    let shelf = Shelf::new().await;
    let good = shelf.payload("good", "good");
    let junk = |n: usize| layer(&Digest::of(&n.to_be_bytes()), 4, "junk");
    let layers: Vec<Value> = std::iter::once(good).chain((1..10_000).map(junk)).collect();
    shelf.sign(&layers);
    shelf.liar.asked();
    let evidence = shelf.look().await;
    assert_eq!(short(&evidence), ["s:good:good"]);
    skipped(&evidence, "only its first 64 layers are read, 9936 more are skipped");
    assert_eq!(shelf.liar.asked().len(), 3 + 64);
}

#[tokio::test]
async fn promise_7_ten_thousand_referrers_are_sixty_four_and_the_likely_ones() {
    let shelf = Shelf::new().await;
    let junk = |n: usize| {
        let kind = if n.is_multiple_of(2) { EMPTY } else { BUNDLE };
        json!({"digest": Digest::of(&n.to_be_bytes()).as_str(), "size": 1, "artifactType": kind})
    };
    let mut good = shelf.bundle("good", Some(&shelf.digest));
    good["annotations"] = json!({"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"});
    let entries: Vec<Value> = (1..10_000).map(junk).chain([good]).collect();
    shelf.list(&entries);
    shelf.liar.asked();
    let evidence = shelf.look().await;
    assert_eq!(short(&evidence), ["b:good"]);
    skipped(&evidence, "9936 more referrers: only 64 are read");
    assert_eq!(shelf.liar.asked().len(), 3 + 64 + 1);
}

#[tokio::test]
async fn promise_7_all_signatures_together_have_a_bound() {
    let shelf = Shelf::new().await;
    let text = |n: usize| n.to_string().repeat(1 << 20);
    let entries: Vec<Value> = (0..10).map(|n| shelf.bundle(&text(n), Some(&shelf.digest))).collect();
    shelf.list(&entries);
    let evidence = shelf.look().await;
    assert_eq!(evidence.found.len(), 8);
    assert_eq!(evidence.skipped.len(), 2);
    skipped(&evidence, "the signatures would exceed 8388608 bytes");
}

#[tokio::test]
async fn promise_7_one_signature_under_many_names_is_one() {
    let shelf = Shelf::new().await;
    let text = "x".repeat(1 << 20);
    let of = |n: usize| {
        let mut manifest = image(&[descriptor(BUNDLE, &Digest::of(text.as_bytes()), text.len())]);
        manifest["subject"] = descriptor("x/y", &shelf.digest, 1);
        manifest["annotations"] = json!({"n": n.to_string()});
        shelf.referrer(&manifest)
    };
    let good = shelf.bundle(&text, Some(&shelf.digest));
    let (first, second): (Vec<Value>, Vec<Value>) = ((0..60).map(of).collect(), (60..120).map(of).collect());
    shelf.list(&first);
    shelf.liar.manifest(&shelf.tag(), &index(&[second.as_slice(), &[good]].concat()));
    shelf.sign(&(0..60).map(|_| shelf.payload("one", "same")).collect::<Vec<_>>());
    let evidence = shelf.look().await;
    assert_eq!(evidence.found.len(), 2);
    assert_eq!(evidence.skipped, [""; 0]);
    // What stands in annotations takes up room, too; the small ones come first.
    let layers = (0..9).map(|n| shelf.payload("one", &n.to_string().repeat(400 << 10)));
    let bundles = (0..6).map(|n| shelf.bundle(&n.to_string().repeat(1 << 20), Some(&shelf.digest)));
    shelf.liar.repent();
    shelf.sign(&layers.collect::<Vec<_>>());
    let last = shelf.bundle("good", Some(&shelf.digest));
    shelf.list(&bundles.chain([last]).collect::<Vec<_>>());
    let evidence = shelf.look().await;
    assert_eq!(evidence.found.len(), 9 + 4 + 1, "{:?}", evidence.skipped);
    assert_eq!(short(&evidence).last().unwrap(), "b:good");
    skipped(&evidence, "the signatures would exceed 8388608 bytes");
}

/// Reads of much wait for one another; a usual signature waits for none.
#[tokio::test]
async fn promise_7_large_evidence_is_read_by_few_at_a_time() {
    let shelf = Shelf::new().await;
    let registry = Registry::new(options());
    let (open, gate) = tokio::sync::watch::channel(false);
    let (mut lists, mut large) = (Vec::new(), Vec::new());
    for n in 0..4 {
        let digest = shelf.liar.artifact("x", &format!("n: {n}"));
        let text = if n == 3 { "small".to_owned() } else { n.to_string().repeat(300 << 10) };
        lists.push((digest.clone(), index(&[shelf.bundle(&text, Some(&digest))]).to_string()));
        if n < 3 {
            large.push((Digest::of(text.as_bytes()).to_string(), text));
        }
    }
    let digests: Vec<Digest> = lists.iter().map(|(digest, _)| digest.clone()).collect();
    shelf.liar.lie(move |seen| {
        if let Some((_, text)) = large.iter().find(|(blob, _)| seen.path.ends_with(blob)) {
            let (mut gate, text) = (gate.clone(), text.clone());
            let body = futures::stream::once(async move {
                gate.wait_for(|open| *open).await.unwrap();
                Ok::<_, std::io::Error>(text)
            });
            return Some(reply(200, &[], axum::body::Body::from_stream(body)));
        }
        let (_, list) =
            lists.iter().find(|(digest, _)| seen.path.ends_with(&format!("referrers/{digest}")))?;
        Some(reply(200, &[("content-type", INDEX)], list.clone()))
    });
    let start = |n: usize| {
        let (registry, repository, digest) = (registry.clone(), shelf.liar.repository(), digests[n].clone());
        tokio::spawn(async move { soon(registry.evidence(&repository, &digest, &access(None))).await })
    };
    let blobs = || shelf.liar.seen().iter().filter(|seen| seen.path.contains("/blobs/")).count();
    let three = [start(0), start(1), start(2)];
    let two_are_read = async {
        while blobs() < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon(two_are_read).await;
    for expected in [3, 4, 5] {
        assert_eq!(short(&start(3).await.unwrap().unwrap()), ["b:small"]);
        assert_eq!(blobs(), expected, "two large ones, and the small one each time");
    }
    open.send(true).unwrap();
    for look in three {
        assert_eq!(look.await.unwrap().unwrap().found.len(), 1);
    }
}

#[tokio::test]
async fn promise_7_lists_without_end_end() {
    let shelf = Shelf::new().await;
    let good = shelf.bundle("good", Some(&shelf.digest));
    // Pages of other things for ever; the filter finds what is behind them.
    let (filtered, sbom) = (index(std::slice::from_ref(&good)).to_string(), index(&[]).to_string());
    let count = std::sync::atomic::AtomicUsize::new(0);
    shelf.referrers(move |seen| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let link = format!("<{}?page={n}>; rel=\"next\"", seen.path.split('?').next().unwrap());
        match seen.path.contains("artifactType") {
            true => reply(200, &[("oci-filters-applied", "artifactType")], filtered.clone()),
            false => reply(200, &[("link", &link)], sbom.clone()),
        }
    });
    shelf.liar.asked();
    let evidence = shelf.look().await;
    assert_eq!(short(&evidence), ["b:good"]);
    skipped(&evidence, "more than 20 pages");
    assert_eq!(shelf.liar.asked().iter().filter(|path| path.contains("referrers/")).count(), 21);

    let lies: [(&str, &str); 4] = [
        ("</v2/team/app/referrers/x>; rel=\"next\"", ""),
        ("<http://169.254.169.254/v2/x>; rel=\"next\"", "links to another host"),
        ("<//evil.example/v2/x>; rel=\"next\"", "links to another host"),
        ("<http://[>; rel=\"next\"", "malformed Link"),
    ];
    for (link, says) in lies {
        let says = if says.is_empty() { "links back to itself" } else { says };
        let body = index(std::slice::from_ref(&good)).to_string();
        shelf.liar.repent();
        shelf.referrers(move |seen| {
            let itself = format!("<{}>; rel=\"next\"", seen.path);
            let link = if link.contains("referrers/x") { itself.as_str() } else { link };
            reply(200, &[("link", link)], body.clone())
        });
        let evidence = shelf.look().await;
        assert_eq!(short(&evidence), ["b:good"], "{says}");
        skipped(&evidence, says);
    }
    // Nothing but the lie: not the same as no signature.
    shelf.liar.repent();
    shelf.referrers(|_| {
        reply(200, &[("link", "<http://evil.example/v2/x>; rel=\"next\"")], index(&[]).to_string())
    });
    let error = shelf.try_look().await.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryUnavailable);
    assert!(error.to_string().contains("links to another host"), "{error}");
}

#[tokio::test]
async fn promise_7_bodies_of_evidence_without_end_are_cut_off() {
    let shelf = Shelf::new().await;
    let bundle = shelf.bundle("endless", Some(&shelf.digest));
    let blob = Digest::of(b"endless").to_string();
    let manifest = bundle["digest"].as_str().unwrap().to_owned();
    let sig = format!("{}.sig", shelf.tag());
    for (path, says) in [
        (sig.as_str(), "manifest has more than 4194304 bytes"),
        (shelf.tag().as_str(), "manifest has more than 4194304 bytes"),
        ("/referrers/", "one page of it is longer than 4194304 bytes"),
        (&manifest, "manifest has more than 4194304 bytes"),
        (&blob, "does not match the digest"),
    ] {
        shelf.liar.repent();
        let path = path.to_owned();
        shelf.liar.lie(move |seen| {
            let hit = seen.path.ends_with(&path) || path == "/referrers/" && seen.path.contains(&path);
            (hit && seen.method == Method::GET).then(|| reply(200, &[], endless()))
        });
        shelf.list(std::slice::from_ref(&bundle));
        skipped(&shelf.look().await, says);
    }
}

#[tokio::test]
async fn a_redirect_that_goes_round_is_refused() {
    let shelf = Shelf::new().await;
    shelf.referrers(|seen| reply(307, &[("location", &format!("{}/x", seen.path))], ""));
    let error = shelf.try_look().await.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
    assert!(error.to_string().contains("redirects more than 5 times"), "{error}");
}

/// A bundle that cannot be had for the moment is no reason to take the signatures
/// beside it for all there are.
#[tokio::test]
async fn a_passing_outage_of_one_signature_is_an_outage() {
    let shelf = Shelf::new().await;
    shelf.sign(&[shelf.payload("one", "a")]);
    shelf.list(&[shelf.bundle("two", Some(&shelf.digest))]);
    let hide = || {
        let hidden = format!("/blobs/{}", Digest::of(b"two"));
        shelf
            .liar
            .lie(move |seen| seen.path.ends_with(&hidden).then(|| reply(503, &[("retry-after", "9")], "")));
    };
    let dir = tempfile::tempdir().unwrap();
    let whole = look(&cached(dir.path()), &shelf).await.unwrap();
    assert_eq!((short(&whole).len(), whole.setback), (2, None));
    // The blob itself is kept too: a process without that part of the cache.
    for entry in std::fs::read_dir(dir.path().join("v1")).unwrap().flatten() {
        let _ = std::fs::remove_file(entry.path().join(Digest::of(b"two").hex()));
    }
    hide();
    let part = look(&cached(dir.path()), &shelf).await.unwrap();
    assert_eq!(short(&part), ["s:one:a", "b:two"]);
    assert_eq!(part.setback.map(|(reason, _)| reason), Some(Reason::RegistryUnavailable));
    let elsewhere = tempfile::tempdir().unwrap();
    let part = look(&cached(elsewhere.path()), &shelf).await.unwrap();
    assert_eq!(short(&part), ["s:one:a"]);
    assert_eq!(part.setback.map(|(reason, _)| reason), Some(Reason::RegistryUnavailable));
}
