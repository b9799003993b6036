//! Cosign's older form: a JSON document that names the image, signed byte by byte
//! (containers-signature.5, cosign's `SIGNATURE_SPEC.md`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sigstore_verify::types::{Artifact, Bundle};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::claim::{Claim, Flaw};
use super::keyless::{Vouched, vouched};
use crate::domain::verify::evidence::SimpleSigning;
use crate::domain::verify::key::PublicKey;
use crate::domain::verify::root::TrustRoot;
use crate::domain::verify::text::printable;
use crate::domain::verify::{json, pem};

/// The largest payload, in bytes. Cosign's have about 250, and what `-a` adds.
const MAX_PAYLOAD_BYTES: usize = 64 << 10;
/// The longest signature in base64. One of RSA 8192 has 1,368 bytes.
const MAX_SIGNATURE_BYTES: usize = 8 << 10;
/// The largest annotation of a layer, in bytes.
const MAX_ANNOTATION_BYTES: usize = 256 << 10;
/// The most certificates above the signer's. Usually there are two.
const MAX_CHAIN: usize = 8;
/// The accepted types of a payload.
const KINDS: &[&str] = &["cosign container image signature", "atomic container signature"];

/// Reads what a payload is for. Does not check who made it.
///
/// # Errors
/// What is wrong with it.
pub fn claim(payload: &[u8]) -> Result<Claim, Flaw> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Flaw::invalid(format!("has a payload larger than {MAX_PAYLOAD_BYTES} bytes")));
    }
    let document = json::read(payload)
        .map_err(|e| Flaw::invalid(format!("has a payload that is not valid JSON: {}", printable(&e, 80))))?;
    let text = |path: &str| document.pointer(path).and_then(Value::as_str);
    match text("/critical/type") {
        Some(kind) if KINDS.contains(&kind) => {}
        Some(kind) => {
            return Err(Flaw::Other(format!("is of type {:?}, not a signature", printable(kind, 60))));
        }
        None => return Err(Flaw::invalid("has a payload without critical.type")),
    }
    let digest = text("/critical/image/docker-manifest-digest")
        .ok_or_else(|| Flaw::invalid("has a payload without docker-manifest-digest"))?;
    let reference = text("/critical/identity/docker-reference").filter(|r| !r.is_empty());
    Ok(Claim { digest: digest.to_owned(), reference: reference.map(str::to_owned) })
}

/// A parsed layer that has not been verified.
#[derive(Debug)]
pub(super) struct Read<'a> {
    payload: &'a [u8],
    signature: Vec<u8>,
    /// The signer's certificate and those above it, DER.
    certificates: Vec<Vec<u8>>,
    entry: Option<Value>,
    timestamp: Option<Value>,
}

/// Reads a layer and its annotations. An invalid certificate or log entry invalidates the
/// signature, even if it is not needed, as in cosign.
pub(super) fn read(found: &SimpleSigning) -> Result<(Claim, Read<'_>), Flaw> {
    let claim = claim(&found.payload)?;
    let signature = signature(found)?;
    let mut certificates = Vec::new();
    if let Some(text) = bounded(found.certificate.as_deref(), "certificate")? {
        certificates = self::certificates(text, "certificate", 1)?;
    }
    if let Some(text) = bounded(found.chain.as_deref(), "chain")? {
        let chain = self::certificates(text, "chain", MAX_CHAIN)?;
        if !certificates.is_empty() {
            certificates.extend(chain);
        }
    }
    let object = |text: Option<&str>, name: &str| {
        let Some(text) = bounded(text, name)? else { return Ok(None) };
        let value = json::read(text.as_bytes()).ok().filter(Value::is_object);
        value.map(Some).ok_or_else(|| Flaw::invalid(format!("has a {name} that is not valid JSON")))
    };
    let entry = object(found.bundle.as_deref(), "bundle")?;
    let timestamp = object(found.timestamp.as_deref(), "rfc3161timestamp")?;
    Ok((claim, Read { payload: &found.payload, signature, certificates, entry, timestamp }))
}

/// An annotation, if it exists and is not empty.
fn bounded<'t>(text: Option<&'t str>, name: &str) -> Result<Option<&'t str>, Flaw> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) if text.len() > MAX_ANNOTATION_BYTES => {
            Err(Flaw::invalid(format!("has a {name} larger than {MAX_ANNOTATION_BYTES} bytes")))
        }
        text => Ok(text),
    }
}

fn certificates(text: &str, name: &str, most: usize) -> Result<Vec<Vec<u8>>, Flaw> {
    let damaged = || Flaw::invalid(format!("has a damaged {name}"));
    let blocks = pem::blocks(text).map_err(|_| damaged())?;
    if blocks.is_empty() || blocks.len() > most {
        return Err(Flaw::invalid(format!("has a {name} with {} certificates", blocks.len())));
    }
    let ders = blocks.into_iter().map(|block| {
        let der = block.der.filter(|der| block.label == "CERTIFICATE" && Certificate::from_der(der).is_ok());
        der.ok_or_else(damaged)
    });
    ders.collect()
}

/// The bytes of a signature.
fn signature(found: &SimpleSigning) -> Result<Vec<u8>, Flaw> {
    if found.signature.is_empty() {
        return Err(Flaw::invalid("has no dev.cosignproject.cosign/signature"));
    }
    let decoded = (found.signature.len() <= MAX_SIGNATURE_BYTES).then(|| STANDARD.decode(&found.signature));
    decoded.and_then(Result::ok).ok_or_else(|| Flaw::invalid("has a signature that is not base64"))
}

impl Read<'_> {
    /// Which of the keys has signed it.
    ///
    /// # Errors
    /// When none has.
    pub(super) fn signed_by<'k>(&self, keys: &'k [PublicKey]) -> Result<&'k PublicKey, Flaw> {
        if let Some(key) = keys.iter().find(|key| key.signed(self.payload, &self.signature)) {
            return Ok(key);
        }
        Err(Flaw::untrusted(if !self.certificates.is_empty() {
            "is keyless, but only keys are trusted"
        } else {
            "is signed by an unknown key, or was modified"
        }))
    }

    /// Verifies it with a trusted root.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub(super) fn vouched(&self, root: &TrustRoot) -> Result<Vouched, Flaw> {
        if self.certificates.is_empty() {
            return Err(Flaw::untrusted("is signed by a key, but only identities are trusted"));
        }
        vouched(root, self.bundle()?, Artifact::from(self.payload))
    }

    /// The same signature as a bundle of the first version.
    fn bundle(&self) -> Result<Bundle, Flaw> {
        let certificates: Vec<Value> =
            self.certificates.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
        let entries: Vec<Value> = self.entry.as_ref().map(entry).transpose()?.into_iter().collect();
        // The first version requires an entry, the second does not.
        let version = if entries.is_empty() { "0.2" } else { "0.1" };
        let stamps =
            self.timestamp.as_ref().map(|stamp| json!({"signedTimestamp": stamp["SignedRFC3161Timestamp"]}));
        let document = json!({
            "mediaType": format!("application/vnd.dev.sigstore.bundle+json;version={version}"),
            "verificationMaterial": {
                "x509CertificateChain": {"certificates": certificates},
                "tlogEntries": entries,
                "timestampVerificationData": {"rfc3161Timestamps": stamps.into_iter().collect::<Vec<_>>()},
            },
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(self.payload))},
                "signature": STANDARD.encode(&self.signature),
            },
        });
        serde_json::from_value(document).map_err(|e| {
            Flaw::invalid(format!("has a damaged log entry or timestamp: {}", printable(&e.to_string(), 80)))
        })
    }
}

/// The log entry of a `bundle` annotation in the form of a bundle.
fn entry(annotation: &Value) -> Result<Value, Flaw> {
    let damaged = || Flaw::invalid("has a damaged log entry");
    let payload = &annotation["Payload"];
    let body = payload["body"].as_str().ok_or_else(damaged)?;
    // The log has signed this text, not its content.
    let id = payload["logID"].as_str().and_then(|text| {
        let id = hex::decode(text).ok()?;
        (hex::encode(&id) == text).then_some(id)
    });
    let id = id.ok_or_else(damaged)?;
    let index = payload["logIndex"].as_i64().ok_or_else(damaged)?;
    let time = payload["integratedTime"].as_i64().ok_or_else(damaged)?;
    let entry = STANDARD.decode(body).ok().and_then(|body| json::read(&body).ok()).ok_or_else(damaged)?;
    Ok(json!({
        "logIndex": index.to_string(),
        "logId": {"keyId": STANDARD.encode(id)},
        "kindVersion": {"kind": entry["kind"], "version": entry["apiVersion"]},
        "integratedTime": time.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": annotation["SignedEntryTimestamp"]},
        "canonicalizedBody": body,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(kind: &str, digest: &str, reference: &str) -> String {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":{reference}}},"image":{{"docker-manifest-digest":{digest}}},"type":{kind}}},"optional":null}}"#
        )
    }

    #[test]
    fn payloads_are_read() {
        let check = |text: &str, expected: Result<(&str, Option<&str>), &str>| {
            let found = claim(text.as_bytes());
            match (&found, expected) {
                (Ok(claim), Ok((digest, reference))) => {
                    assert_eq!((claim.digest.as_str(), claim.reference.as_deref()), (digest, reference));
                }
                (Err(flaw), Err(part)) => assert!(flaw.to_string().contains(part), "{text}: {flaw}"),
                _ => panic!("{text}: {found:?}"),
            }
        };
        let kind = r#""cosign container image signature""#;
        check(&payload(kind, r#""sha256:1""#, r#""r.io/a""#), Ok(("sha256:1", Some("r.io/a"))));
        check(&payload(r#""atomic container signature""#, r#""sha256:1""#, r#""""#), Ok(("sha256:1", None)));
        check(&payload(kind, "1", r#""r.io/a""#), Err("docker-manifest-digest"));
        check(&payload(r#""x\ny""#, r#""sha256:1""#, r#""r""#), Err("is of type \"x?y\""));
        check(&payload("null", r#""sha256:1""#, r#""r""#), Err("without critical.type"));
        check(r#"{"critical":{},"critical":{}}"#, Err("duplicate name"));
        check("", Err("not valid JSON"));
        check(&format!("{}x", " ".repeat(MAX_PAYLOAD_BYTES)), Err("larger than 65536"));
        let twice = r#"{"critical":{"image":{"docker-manifest-digest":"sha256:1","docker-manifest-digest":"sha256:2"}}}"#;
        check(twice, Err("duplicate name"));
    }

    #[test]
    fn signatures_are_base64() {
        let check = |text: &str, expected: bool| {
            let found = SimpleSigning { signature: text.to_owned(), ..SimpleSigning::default() };
            assert_eq!(signature(&found).is_ok(), expected, "{text}");
        };
        check("YWI=", true);
        check("", false);
        check("YWI", false);
        check("YWI=\n", false);
        check(&"AAAA".repeat(MAX_SIGNATURE_BYTES / 4 + 1), false);
    }
}
