//! Keyless signatures of a private Sigstore (tests/fixtures/signatures/README.md).

use std::sync::Arc;

use serde_json::{Value, json};
use supercargo::api::reason::Reason;
use supercargo::api::verify::OidcIdentity;
use supercargo::domain::verify::certificate::names;
use supercargo::domain::verify::evidence::Content;
use supercargo::domain::verify::judge::{Subject, judge};
use supercargo::domain::verify::key::PublicKey;
use supercargo::domain::verify::policy::{Policy, SignerIdentity, Trust};
use supercargo::domain::verify::proof::{Format, Proof, Refusal, Signer};
use supercargo::domain::verify::root::TrustRoot;

use crate::signatures::{evidence, file, policy, read, refused};

/// What all of them are for.
pub const DIGEST: &str = "sha256:9252664f03aca16f645042c9192128710cc0322795f01363646b718b83da27a8";
pub const MAIL: &str = "http://127.0.0.1:42057/mail";
const WORKFLOW: &str = "http://127.0.0.1:42057/team/release.yaml";

/// The trusted root, with a change.
pub fn root(change: impl FnOnce(&mut Value)) -> TrustRoot {
    let mut root: Value = serde_json::from_slice(&file("keyless/root.json")).unwrap();
    change(&mut root);
    TrustRoot::parse(root.to_string().as_bytes()).unwrap()
}

fn foreign() -> Value {
    serde_json::from_slice(&file("keyless/foreign-root.json")).unwrap()
}

fn drop_part(name: &'static str) -> impl FnOnce(&mut Value) {
    move |root| drop(root.as_object_mut().unwrap().remove(name))
}

/// Trust in an issuer and a subject, both expressions.
pub fn trust(root: TrustRoot, issuer: &str, subject: &str) -> Trust {
    let written = OidcIdentity { issuer: issuer.to_owned(), subject: subject.to_owned() };
    Trust::Keyless { identities: vec![SignerIdentity::parse(&written).unwrap()], root: Arc::new(root) }
}

pub fn alice(root: TrustRoot) -> Policy {
    policy(vec![("", trust(root, MAIL, "alice@example.com"))], 1)
}

pub fn judged(policy: &Policy, found: impl IntoIterator<Item = Content>) -> Result<Proof, Refusal> {
    let subject = Subject { repository: "ghcr.io/acme/app", digest: DIGEST };
    judge(policy, subject, &evidence(found))
}

fn named(policy: &Policy, things: &[&str]) -> Result<Proof, Refusal> {
    judged(policy, things.iter().map(|name| read(&format!("keyless/{name}"))))
}

#[test]
fn what_the_root_stands_for_counts() {
    let all = || root(|_| ());
    let clock_only = || root(drop_part("tlogs"));
    let check = |thing: &str, root: TrustRoot, subject: &str, format: Format| {
        let policy = policy(vec![("", trust(root, "http://127.0.0.1:42057/(mail|workflow)", subject))], 1);
        let proof = named(&policy, &[thing]).unwrap_or_else(|e| panic!("{thing}: {e}"));
        let [signature] = proof.signatures() else { panic!("{proof:?}") };
        assert_eq!(signature.format, format, "{thing}");
        let Signer::Identity { issuer, subject: found } = &signature.signer else { panic!("{signature:?}") };
        assert!(issuer.starts_with("http://127.0.0.1:42057/"), "{issuer}");
        assert_eq!(found, subject);
        let at = signature.signed_at.unwrap().to_string();
        assert!(at.starts_with("2026-11-23T04:1"), "{at}");
    };
    check("alice.bundle", all(), "alice@example.com", Format::Bundle);
    check("workflow.bundle", all(), WORKFLOW, Format::Bundle);
    check("rekor-v1.bundle", all(), "alice@example.com", Format::Bundle);
    check("rekor-v1.simple", all(), "alice@example.com", Format::SimpleSigning);
    check(
        "rekor-v1.simple",
        root(drop_part("timestampAuthorities")),
        "alice@example.com",
        Format::SimpleSigning,
    );
    check("rekor-v1.bundle", root(drop_part("timestampAuthorities")), "alice@example.com", Format::Bundle);
    check("no-log.bundle", clock_only(), "alice@example.com", Format::Bundle);
    check("stamped.simple", clock_only(), "alice@example.com", Format::SimpleSigning);
    check("alice.bundle", root(drop_part("ctlogs")), "alice@example.com", Format::Bundle);
}

#[test]
fn what_a_root_lists_has_to_be_satisfied() {
    let check = |thing: &str, change: &dyn Fn(&mut Value), expected: &str| {
        let found = named(&alice(root(change)), &[thing]);
        refused(found, Reason::SignatureInvalid, &[expected]);
    };
    let put = |part: &'static str| move |root: &mut Value| root[part] = foreign()[part].clone();
    check("no-log.bundle", &|_| (), "is not in a log of the trusted root");
    check("stamped.simple", &|_| (), "is not in a log of the trusted root");
    check("alice.bundle", &|root| drop_part("tlogs")(root), "the trusted root has no logs");
    check("alice.bundle", &|root| drop_part("timestampAuthorities")(root), "no proof of its signing time");
    check("alice.bundle", &put("timestampAuthorities"), "no proof of its signing time");
    check("alice.bundle", &put("tlogs"), "is not in a log of the trusted root");
    check("alice.bundle", &put("ctlogs"), "not in a certificate log");
    check("alice.bundle", &put("certificateAuthorities"), "not issued by an authority of the trusted root");
    check("foreign.bundle", &|_| (), "is not in a log of the trusted root");
    check("late.bundle", &|_| (), "not valid at the signing time");
    check("alice-other.bundle", &|_| (), "is for another digest");
    let ended = json!({"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"});
    check(
        "alice.bundle",
        &|root| root["tlogs"][0]["publicKey"]["validFor"] = ended.clone(),
        "its log was not active",
    );
    let nobody = alice(TrustRoot::public_good());
    refused(named(&nobody, &["alice.bundle"]), Reason::SignatureInvalid, &["not in a log"]);
}

/// An entry that names one log and whose checkpoint is another's, which the root lists
/// too, though it is not in use any more.
#[test]
fn a_checkpoint_is_of_the_log_that_the_entry_names() {
    let mut bundle: Value = serde_json::from_slice(&file("keyless/alice.bundle.json")).unwrap();
    let all = root(|_| ());
    let other: Value = serde_json::from_slice(&file("keyless/root.json")).unwrap();
    let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
    entry["logId"] = other["tlogs"][1]["logId"].clone();
    let found = judged(&alice(all), [Content::Bundle(bundle.to_string().into_bytes())]);
    refused(found, Reason::SignatureInvalid, &["checkpoint that its log did not sign"]);
}

#[test]
fn a_stranger_is_named() {
    let found = named(&alice(root(|_| ())), &["bob.bundle"]);
    let parts = [
        "thing 0 is signed by bob@example.com of http://127.0.0.1:42057/mail, who is not trusted",
        "Trusted: alice@example.com of",
    ];
    refused(found, Reason::SignerUntrusted, &parts);
    let issuer = policy(vec![("", trust(root(|_| ()), "http://127.0.0.1:42057/mai", ".*"))], 1);
    refused(named(&issuer, &["alice.bundle"]), Reason::SignerUntrusted, &["who is not trusted"]);
}

/// One person whom the expressions of two authorities fit is one, not two.
#[test]
fn two_authorities_need_two_people() {
    let two = |one: &str, other: &str| {
        let root = root(|_| ());
        policy(vec![("dev", trust(root.clone(), MAIL, one)), ("security", trust(root, MAIL, other))], 2)
    };
    let anybody = ".*@example.com";
    refused(
        named(&two(anybody, "alice@example.com"), &["alice.bundle", "rekor-v1.bundle"]),
        Reason::SignerUntrusted,
        &["1 of 2 authorities signed"],
    );
    // Alice comes first, and is needed for the second.
    let proof = named(&two(anybody, "alice@example.com"), &["alice.bundle", "bob.bundle"]).unwrap();
    let who: Vec<_> = proof.signatures().iter().map(|s| format!("{} {}", s.authority, s.signer)).collect();
    assert_eq!(
        who,
        [format!("dev bob@example.com ({MAIL})"), format!("security alice@example.com ({MAIL})")]
    );
    named(&two(anybody, anybody), &["alice.bundle", "bob.bundle"]).unwrap();
    refused(named(&two(anybody, anybody), &["bob.bundle"]), Reason::SignerUntrusted, &["missing: security"]);
}

/// A signature by a key with log entry and timestamp, whosever these are.
#[test]
fn a_key_is_enough_for_its_signature() {
    let key = PublicKey::parse("a.pub", &file("keys/logged.pub")).unwrap();
    let keys = policy(vec![("", Trust::Keys(vec![key]))], 1);
    named(&keys, &["key-logged.bundle"]).unwrap();
    let mut bundle: Value = serde_json::from_slice(&file("keyless/key-logged.bundle.json")).unwrap();
    let alices: Value = serde_json::from_slice(&file("keyless/alice.bundle.json")).unwrap();
    for part in ["tlogEntries", "timestampVerificationData"] {
        bundle["verificationMaterial"][part] = alices["verificationMaterial"][part].clone();
        judged(&keys, [Content::Bundle(bundle.to_string().into_bytes())]).unwrap();
    }
    refused(
        named(&keys, &["alice.bundle"]),
        Reason::SignerUntrusted,
        &["is keyless, but only keys are trusted"],
    );
    refused(
        named(&keys, &["rekor-v1.simple"]),
        Reason::SignerUntrusted,
        &["is keyless, but only keys are trusted"],
    );
    let found = named(&alice(root(|_| ())), &["key-logged.bundle"]);
    refused(found, Reason::SignerUntrusted, &["is signed by a key, but only identities are trusted"]);
}

#[test]
fn proofs_are_counted() {
    let check = |pointer: &str, expected: &str| {
        let mut bundle: Value = serde_json::from_slice(&file("keyless/alice.bundle.json")).unwrap();
        let all = bundle.pointer_mut(pointer).unwrap();
        *all = json!(vec![all[0].clone(); 9]);
        let found = judged(&alice(root(|_| ())), [Content::Bundle(bundle.to_string().into_bytes())]);
        refused(found, Reason::SignatureInvalid, &[expected]);
    };
    check("/verificationMaterial/tlogEntries", "9 log entries; at most 8 are allowed");
    check(
        "/verificationMaterial/timestampVerificationData/rfc3161Timestamps",
        "9 timestamps; at most 8 are allowed",
    );
}

#[test]
fn certificates_name_people() {
    let bundle: Value = serde_json::from_slice(&file("keyless/workflow.bundle.json")).unwrap();
    let der = bundle["verificationMaterial"]["certificate"]["rawBytes"].as_str().unwrap();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    let found = names(&der).unwrap();
    assert_eq!(found.issuer, "http://127.0.0.1:42057/workflow");
    assert_eq!(found.subjects, [WORKFLOW]);
    assert!(names(&der[1..]).is_err());
    let plain = String::from_utf8(file("not-keys/cert.pub")).unwrap();
    let plain: String = plain.lines().filter(|line| !line.starts_with('-')).collect();
    let plain = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, plain).unwrap();
    assert_eq!(names(&plain).unwrap_err(), "has no issuer");
}

#[test]
fn every_name_of_a_certificate_is_read() {
    let check = |name: &str, expected: Result<&[&str], &str>| {
        let pem = String::from_utf8(file(&format!("certificates/{name}.pem"))).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
        match (names(&der), expected) {
            (Ok(found), Ok(subjects)) => {
                assert_eq!(found.issuer, "https://issuer.example.com");
                assert_eq!(found.subjects, subjects, "{name}");
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{name}: {error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    };
    check("user-name", Ok(&["alice!example.com"]));
    check("several", Ok(&["alice@example.com", "https://example.com/a", "build.example.com"]));
    check("older-issuer", Ok(&["alice@example.com"]));
    check("both-issuers", Ok(&["alice@example.com"]));
    check("two-issuers", Err("two different issuers"));
    check("damaged-issuer", Err("damaged issuer"));
    check("no-issuer", Err("no issuer"));
    check("machine-only", Err("no supported subject alternative name"));
    check("other-name", Err("no supported subject alternative name"));
    check("nobody", Err("no supported subject alternative name"));
}
