//! Signatures that real cosign has made (tests/fixtures/signatures/README.md), and
//! what may be done to them without their ever counting.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use supercargo::api::reason::Reason;
use supercargo::domain::verify::evidence::{Content, Evidence, Found, SimpleSigning};
use supercargo::domain::verify::judge::{MAX_JUDGED, Subject, judge};
use supercargo::domain::verify::key::PublicKey;
use supercargo::domain::verify::policy::{Policy, Trust, TrustedAuthority};
use supercargo::domain::verify::proof::{Format, Proof, Refusal, Signer};

/// What all fixtures are for.
pub const DIGEST: &str = "sha256:da22257afd34a87caf724df11afd8c5dd39df668d561463d26aee337970fc701";
const OTHER_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const REPOSITORY: &str = "127.0.0.1:45917/acme/app-p256";

pub fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/signatures").join(name);
    std::fs::read(path).expect(name)
}

fn key(name: &str) -> PublicKey {
    PublicKey::parse(&format!("{name}.pub"), &file(&format!("keys/{name}.pub"))).unwrap()
}

/// A layer of a `.sig` image, as the fixtures keep it: its payload and annotations.
pub fn layer(kept: &Value) -> Option<SimpleSigning> {
    let annotation = |name: &str| kept["annotations"][name].as_str().map(str::to_owned);
    Some(SimpleSigning {
        payload: STANDARD.decode(kept["payload"].as_str()?).ok()?,
        signature: annotation("dev.cosignproject.cosign/signature").unwrap_or_default(),
        certificate: annotation("dev.sigstore.cosign/certificate"),
        chain: annotation("dev.sigstore.cosign/chain"),
        bundle: annotation("dev.sigstore.cosign/bundle"),
        timestamp: annotation("dev.sigstore.cosign/rfc3161timestamp"),
    })
}

pub fn read(name: &str) -> Content {
    match name.strip_suffix(".simple") {
        Some(_) => {
            let kept = serde_json::from_slice(&file(&format!("{name}.json"))).unwrap();
            Content::SimpleSigning(layer(&kept).unwrap())
        }
        None => Content::Bundle(file(&format!("{name}.json"))),
    }
}

pub fn evidence(found: impl IntoIterator<Item = Content>) -> Evidence {
    let found = found
        .into_iter()
        .enumerate()
        .map(|(n, content)| Found { place: format!("thing {n}"), content })
        .collect();
    Evidence { found, ..Evidence::default() }
}

pub fn policy(authorities: Vec<(&str, Trust)>, threshold: usize) -> Policy {
    let authorities = authorities
        .into_iter()
        .map(|(name, trust)| TrustedAuthority { name: name.to_owned(), trust })
        .collect();
    Policy { origin: "spec.verify".to_owned(), authorities, threshold, match_reference: false }
}

fn keys(names: &[&str]) -> Policy {
    policy(vec![("", Trust::Keys(names.iter().map(|name| key(name)).collect()))], 1)
}

fn subject(digest: &str) -> Subject<'_> {
    Subject { repository: REPOSITORY, digest }
}

fn judged(policy: &Policy, things: &[&str]) -> Result<Proof, Refusal> {
    judge(policy, subject(DIGEST), &evidence(things.iter().map(|name| read(name))))
}

pub fn refused(found: Result<Proof, Refusal>, reason: Reason, parts: &[&str]) {
    let refusal = found.expect_err("it is refused");
    assert_eq!(refusal.reason, reason, "{}", refusal.message);
    for part in parts {
        assert!(refusal.message.contains(part), "{part}: {}", refusal.message);
    }
    assert!(refusal.message.len() <= 1003, "{}", refusal.message);
    assert!(!refusal.message.chars().any(char::is_control), "{}", refusal.message);
}

#[test]
fn every_kind_of_key_counts_in_both_forms() {
    let check = |name: &str, form: &str, format: Format| {
        let things = format!("{name}.{form}");
        let proof =
            judged(&keys(&["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096"]), &[&things]);
        let proof = proof.unwrap_or_else(|e| panic!("{things}: {e}"));
        let [signature] = proof.signatures() else { panic!("{proof:?}") };
        assert_eq!(proof.digest(), DIGEST);
        assert_eq!(signature.format, format);
        let name = name.strip_suffix("-pure").unwrap_or(name);
        let expected = key(name);
        let signer =
            Signer::Key { name: format!("{name}.pub"), fingerprint: expected.fingerprint().to_owned() };
        assert_eq!(signature.signer, signer);
        assert_eq!(signature.reference.is_some(), format == Format::SimpleSigning);
        assert_eq!(signature.signed_at, None);
    };
    for name in ["p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096"] {
        check(name, "simple", Format::SimpleSigning);
        check(name, "bundle", Format::Bundle);
    }
    check("ed25519-pure", "simple", Format::SimpleSigning);
}

/// What cosign 3.1.3 writes by an Ed25519 key is Ed25519ph, and its verify refuses it.
#[test]
fn prehashed_ed25519_does_not_count() {
    let policy = keys(&["ed25519"]);
    refused(
        judged(&policy, &["ed25519.bundle"]),
        Reason::SignatureInvalid,
        &["prehashed", "use an ECDSA key"],
    );
    refused(
        judged(&policy, &["ed25519.simple"]),
        Reason::SignerUntrusted,
        &["prehashed", "Trusted: key ed25519.pub"],
    );
}

#[test]
fn what_does_not_count_says_why() {
    use Reason::{SignatureInvalid, SignatureMissing, SignerUntrusted};
    let check = |things: &[&str], trusted: &str, reason, parts: &[&str]| {
        refused(judged(&keys(&[trusted]), things), reason, parts);
    };
    check(
        &[],
        "p256",
        SignatureMissing,
        &["has no signature", "spec.verify", "Sign it: `cosign sign --key YOUR.key "],
    );
    check(&["p256.bundle"], "p384", SignerUntrusted, &["Found 1: thing 0", "key p384.pub (sha256:"]);
    check(&["p256.simple"], "p384", SignerUntrusted, &["signed by an unknown key"]);
    check(
        &["attestation.bundle"],
        "p256",
        SignatureMissing,
        &["attestation of type \"https://cosign.sigstore.dev/attestation/v1\""],
    );
    check(&["blob.bundle"], "p256", SignatureMissing, &["signature of a file"]);
    check(
        &["attestation.bundle", "p256.simple"],
        "p384",
        SignerUntrusted,
        &["Found 2: thing 1 is signed by an unknown key"],
    );
    let elsewhere =
        judge(&keys(&["p256"]), subject(OTHER_DIGEST), &evidence([read("p256.bundle"), read("p256.simple")]));
    refused(
        elsewhere,
        SignatureInvalid,
        &[&format!("thing 0 is for another digest: {DIGEST}"), "thing 1 is for another"],
    );
    let skipped =
        Evidence { skipped: vec!["referrer sha256:00: 500\n".into(), "x".into()], ..Evidence::default() };
    refused(
        judge(&keys(&["p256"]), subject(DIGEST), &skipped),
        SignatureMissing,
        &["referrer sha256:00: 500? and 1 more"],
    );
}

#[test]
fn junk_hides_no_good_signature() {
    let junk = || {
        vec![
            Content::Bundle(b"junk".to_vec()),
            Content::SimpleSigning(SimpleSigning::default()),
            read("attestation.bundle"),
            read("p384.bundle"),
            read("p384.simple"),
        ]
    };
    for good in ["p256.bundle", "p256.simple"] {
        let mut found = junk();
        found.push(read(good));
        found.extend(junk());
        let proof = judge(&keys(&["p256"]), subject(DIGEST), &evidence(found)).unwrap();
        assert_eq!(proof.signatures()[0].place, "thing 5");
    }
}

#[test]
fn no_more_than_the_limit_is_judged() {
    let of = |junk: usize| {
        let junk = (0..junk).map(|_| Content::Bundle(b"junk".to_vec()));
        judge(&keys(&["p256"]), subject(DIGEST), &evidence(junk.chain([read("p256.bundle")])))
    };
    of(MAX_JUDGED - 1).unwrap();
    refused(
        of(MAX_JUDGED),
        Reason::SignatureInvalid,
        &["Found 193, checked only the first 192", "and 189 more"],
    );
}

#[test]
fn references_count_on_request_only() {
    let mut policy = keys(&["p256"]);
    let elsewhere = Subject { repository: "mirror.io/acme/app", digest: DIGEST };
    let proof = judge(&policy, elsewhere, &evidence([read("p256.simple")])).unwrap();
    assert_eq!(proof.signatures()[0].reference.as_deref(), Some(REPOSITORY));
    policy.match_reference = true;
    refused(
        judge(&policy, elsewhere, &evidence([read("p256.simple"), read("p256.bundle")])),
        Reason::SignatureInvalid,
        &[
            "for the repository 127.0.0.1:45917/acme/app-p256",
            "does not name a repository",
            "matchReference requires signatures made for this repository: `cosign sign --new-bundle-format=false ",
            "--key YOUR.key mirror.io/acme/app@sha256:",
            ", or remove matchReference",
        ],
    );
    judge(&policy, subject(DIGEST), &evidence([read("p256.simple")])).unwrap();
}

#[test]
fn several_authorities_each_need_a_signature() {
    let two = |threshold| {
        let trust = |names: &[&str]| Trust::Keys(names.iter().map(|name| key(name)).collect());
        policy(vec![("dev", trust(&["p256"])), ("security", trust(&["p384", "p521"]))], threshold)
    };
    let proof = judged(&two(2), &["p521.simple", "p256.bundle"]).unwrap();
    let named: Vec<_> = proof.signatures().iter().map(|s| (s.authority.as_str(), s.place.as_str())).collect();
    assert_eq!(named, [("dev", "thing 1"), ("security", "thing 0")]);
    judged(&two(1), &["p521.simple"]).unwrap();
    refused(
        judged(&two(2), &["p521.simple", "p384.bundle", "rsa2048.bundle"]),
        Reason::SignerUntrusted,
        &["1 of 2 authorities signed, 2 required; missing: dev", "thing 2 is signed by an unknown key"],
    );
    // Two signatures of one authority are no two authorities.
    let (one, other) = ("p256.simple", "p256.bundle");
    refused(judged(&two(2), &[one, other]), Reason::SignerUntrusted, &["missing: security"]);
}

/// Nobody is asked for: that is no way to be satisfied.
#[test]
fn a_policy_without_anybody_is_never_satisfied() {
    assert!(judged(&policy(Vec::new(), 0), &["p256.bundle"]).is_err());
    assert!(judged(&policy(vec![("", Trust::Keys(Vec::new()))], 0), &["p256.bundle"]).is_err());
}
