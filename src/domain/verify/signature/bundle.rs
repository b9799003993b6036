//! A Sigstore bundle with an in-toto statement: what it is for, and whether a key
//! has signed it. Log entries and timestamps prove nothing about a key and are not
//! checked for one.

use serde_json::Value;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{Artifact, Bundle, DsseEnvelope, MediaType, Sha256Hash, SignatureContent};

use super::claim::{Claim, Flaw};
use super::keyless::{Vouched, vouched};
use crate::domain::verify::json;
use crate::domain::verify::key::PublicKey;
use crate::domain::verify::root::TrustRoot;
use crate::domain::verify::text::printable;

/// The largest bundle, in bytes. Those of cosign have 1 to 15 thousand.
const MAX_BUNDLE_BYTES: usize = 1 << 20;
/// The required payload type of an envelope.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The required type of a payload.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The required predicate of a statement: cosign's `sign`. Any other is an attestation.
const PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The members that each object of a bundle may have, by its own name (Sigstore's
/// `sigstore_bundle.proto`). [`Bundle`] skips others, and cosign refuses them.
const MEMBERS: &[(&str, &[&str])] = &[
    ("", &["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"]),
    (
        "verificationMaterial",
        &["publicKey", "certificate", "x509CertificateChain", "tlogEntries", "timestampVerificationData"],
    ),
    ("publicKey", &["hint"]),
    ("certificate", &["rawBytes"]),
    ("x509CertificateChain", &["certificates"]),
    ("certificates", &["rawBytes"]),
    (
        "tlogEntries",
        &[
            "logIndex",
            "logId",
            "kindVersion",
            "integratedTime",
            "inclusionPromise",
            "inclusionProof",
            "canonicalizedBody",
        ],
    ),
    ("logId", &["keyId"]),
    ("kindVersion", &["kind", "version"]),
    ("inclusionPromise", &["signedEntryTimestamp"]),
    ("inclusionProof", &["logIndex", "rootHash", "treeSize", "hashes", "checkpoint"]),
    ("checkpoint", &["envelope"]),
    ("timestampVerificationData", &["rfc3161Timestamps"]),
    ("rfc3161Timestamps", &["signedTimestamp"]),
    ("dsseEnvelope", &["payload", "payloadType", "signatures"]),
    ("signatures", &["sig", "keyid"]),
    ("messageSignature", &["messageDigest", "signature"]),
    ("messageDigest", &["algorithm", "digest"]),
];
/// What is signed: exactly one of them.
const CONTENTS: &[&str] = &["dsseEnvelope", "messageSignature"];
/// The signer: exactly one of them.
const SIGNERS: &[&str] = &["publicKey", "certificate", "x509CertificateChain"];

/// A parsed bundle that has not been verified.
#[derive(Debug)]
pub(super) struct Read {
    bundle: Bundle,
    envelope: DsseEnvelope,
}

/// Reads what a bundle is for. Does not check who made it.
///
/// # Errors
/// What is wrong with it, or what it is instead of a signature.
pub fn claim(bytes: &[u8]) -> Result<Claim, Flaw> {
    read(bytes).map(|(claim, _)| claim)
}

/// Reads a bundle.
pub(super) fn read(bytes: &[u8]) -> Result<(Claim, Read), Flaw> {
    if bytes.len() > MAX_BUNDLE_BYTES {
        return Err(Flaw::invalid(format!("is larger than {MAX_BUNDLE_BYTES} bytes")));
    }
    let broken = |e: String| Flaw::invalid(format!("is not a valid bundle: {}", printable(&e, 120)));
    let document = json::read(bytes).map_err(broken)?;
    shape(&document).map_err(broken)?;
    let bundle: Bundle = serde_json::from_value(document).map_err(|e| broken(e.to_string()))?;
    let envelope = match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => envelope.clone(),
        _ => return Err(Flaw::Other("is a signature of a file (sign-blob), not of an image".to_owned())),
    };
    if envelope.payload_type != PAYLOAD_TYPE {
        let found = printable(&envelope.payload_type, 60);
        return Err(Flaw::Other(format!("contains {found:?}, not an in-toto statement")));
    }
    let claim = statement(envelope.payload.as_bytes())?;
    Ok((claim, Read { bundle, envelope }))
}

/// Checks that every member is known and nothing is stated in two ways.
fn shape(document: &Value) -> Result<(), String> {
    known(document, "")?;
    let material = document.get("verificationMaterial");
    if !material.is_some_and(Value::is_object) {
        return Err("verificationMaterial is missing".into());
    }
    let count = |object: Option<&Value>, names: &[&str]| {
        names.iter().filter(|name| object.is_some_and(|o| o.get(**name).is_some())).count()
    };
    if count(material, SIGNERS) != 1 {
        return Err("it must have exactly one of publicKey, certificate and x509CertificateChain".into());
    }
    if count(Some(document), CONTENTS) != 1 {
        return Err("it must have exactly one of dsseEnvelope and messageSignature".into());
    }
    if document.get("mediaType").is_none() {
        return Err("it has no mediaType".into());
    }
    Ok(())
}

/// Checks that no object has an unknown member. `value` is the value of `name`.
fn known(value: &Value, name: &str) -> Result<(), String> {
    match value {
        Value::Array(all) => all.iter().try_for_each(|one| known(one, name)),
        Value::Object(all) => {
            let members = MEMBERS.iter().find(|(object, _)| *object == name).map_or(&[][..], |(_, all)| all);
            all.iter().try_for_each(|(member, value)| match members.contains(&member.as_str()) {
                true => known(value, member),
                false => Err(format!("unknown member {member:?}")),
            })
        }
        _ => Ok(()),
    }
}

fn statement(payload: &[u8]) -> Result<Claim, Flaw> {
    let broken = |e: &str| Flaw::invalid(format!("has a statement that {}", printable(e, 120)));
    let statement = json::read(payload).map_err(|e| broken(&format!("is not valid JSON: {e}")))?;
    let text = |name: &str| statement.get(name).and_then(Value::as_str);
    match text("predicateType") {
        Some(PREDICATE_TYPE) => {}
        other => {
            let found = printable(other.unwrap_or_default(), 80);
            return Err(Flaw::Other(format!("is an attestation of type {found:?}, not a signature")));
        }
    }
    if text("_type") != Some(STATEMENT_TYPE) {
        let found = text("_type").unwrap_or_default();
        return Err(broken(&format!("is of type {found:?} instead of {STATEMENT_TYPE}")));
    }
    let subjects = statement.get("subject").and_then(Value::as_array).map(Vec::as_slice);
    let [subject] = subjects.unwrap_or_default() else {
        let count = subjects.map_or(0, <[_]>::len);
        return Err(broken(&format!("has {count} subjects instead of one")));
    };
    let digest = subject.pointer("/digest/sha256").and_then(Value::as_str);
    let digest = digest.ok_or_else(|| broken("has a subject without a sha256 digest"))?;
    let reference = subject.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    Ok(Claim { digest: format!("sha256:{digest}"), reference: reference.map(str::to_owned) })
}

impl Read {
    /// Which of the keys has signed it.
    ///
    /// # Errors
    /// When none has.
    pub(super) fn signed_by<'k>(&self, keys: &'k [PublicKey]) -> Result<&'k PublicKey, Flaw> {
        let VerificationMaterialContent::PublicKey(named) = &self.bundle.verification_material.content else {
            return Err(Flaw::untrusted("is keyless, but only keys are trusted"));
        };
        if self.bundle.media_type != MediaType::Bundle0_3 {
            return Err(Flaw::invalid("is a bundle older than version 0.3, which keys cannot sign"));
        }
        let (message, signature) = (self.envelope.pae(), self.envelope.signature.sig.as_bytes());
        if let Some(key) = keys.iter().find(|key| key.signed(&message, signature)) {
            return Ok(key);
        }
        // The hint is not signed: it is used for the message only.
        match keys.iter().find(|key| key.hint() == named.hint) {
            Some(key) => Err(Flaw::invalid(format!(
                "names the key {} but is not signed by it: it was modified, or signed by another key",
                key.name()
            ))),
            None => Err(Flaw::untrusted("is signed by an unknown key")),
        }
    }

    /// Verifies it with a trusted root.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub(super) fn vouched(&self, root: &TrustRoot, digest: &str) -> Result<Vouched, Flaw> {
        if self.bundle.signing_certificate().is_none() {
            return Err(Flaw::untrusted("is signed by a key, but only identities are trusted"));
        }
        let digest = digest.strip_prefix("sha256:").unwrap_or_default();
        let digest =
            Sha256Hash::from_hex(digest).map_err(|_| Flaw::invalid("does not name a sha256 digest"))?;
        vouched(root, self.bundle.clone(), Artifact::from(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    fn bundle(statement: &str) -> String {
        let payload = base64::engine::general_purpose::STANDARD.encode(statement);
        format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{{"publicKey":{{"hint":""}}}},"dsseEnvelope":{{"payload":"{payload}","payloadType":"application/vnd.in-toto+json","signatures":[{{"sig":"YWI="}}]}}}}"#
        )
    }

    fn check(text: &str, expected: Result<(&str, Option<&str>), &str>) {
        let found = claim(text.as_bytes());
        match (&found, expected) {
            (Ok(claim), Ok((digest, reference))) => {
                assert_eq!((claim.digest.as_str(), claim.reference.as_deref()), (digest, reference));
            }
            (Err(flaw), Err(part)) => assert!(flaw.to_string().contains(part), "{text}: {flaw}"),
            _ => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn statements_are_read() {
        let check = |from: &str, to: &str, expected| {
            let good = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#;
            assert!(good.contains(from));
            check(&bundle(&good.replace(from, to)), expected);
        };
        check("", "", Ok(("sha256:00", None)));
        check(r#"{"digest""#, r#"{"name":"r.io/a","digest""#, Ok(("sha256:00", Some("r.io/a"))));
        check(
            "cosign/sign/v1",
            "cosign/sign/v2",
            Err("attestation of type \"https://sigstore.dev/cosign/sign/v2\""),
        );
        check("Statement/v1", "Statement/v0.1", Err("Statement/v0.1"));
        check("sha256", "sha512", Err("without a sha256"));
        check(r#"{"digest":{"sha256":"00"}}"#, "", Err("0 subjects"));
        let two = r#"{"digest":{"sha256":"01"}},{"digest":{"sha256":"00"}}"#;
        check(r#"{"digest":{"sha256":"00"}}"#, two, Err("2 subjects"));
        check(r#""00""#, r#""00","sha256":"01""#, Err("duplicate name"));
        check(r#""_type""#, r#""predicateType":"x","_type""#, Err("duplicate name"));
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        let check = |from: &str, to: &str, expected| {
            let good = bundle("{}");
            assert!(good.contains(from));
            check(&good.replacen(from, to, 1), Err(expected));
        };
        check(r#""mediaType""#, r#""mediaTypo""#, "unknown member");
        check(r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","#, "{", "no mediaType");
        check(r#""sig""#, r#""note":1,"sig""#, "unknown member \"note\"");
        check(r#""hint":"""#, r#""hint":{"sig":1}"#, "unknown member \"sig\"");
        check("v0.3", "v0.9", "not a valid bundle");
        check(r#"{"hint":""}"#, r#"{"hint":""},"certificate":{"rawBytes":""}"#, "exactly one of publicKey");
        check(r#""publicKey":{"hint":""}"#, "", "exactly one of publicKey");
        check(
            r#""dsseEnvelope""#,
            r#""messageSignature":{"signature":""},"dsseEnvelope""#,
            "exactly one of dsse",
        );
        check(r#"[{"sig":"YWI="}]"#, r#"[{"sig":"YWI="},{"sig":"YWI="}]"#, "exactly one signature");
        check(r#"[{"sig":"YWI="}]"#, "[]", "exactly one signature");
        check("vnd.in-toto+json", "json", "not an in-toto statement");
        check("{", "", "not a valid bundle");
        super::claim(&vec![b' '; MAX_BUNDLE_BYTES + 1]).unwrap_err();
        check("", "", "is an attestation of type \"\"");
    }
}
