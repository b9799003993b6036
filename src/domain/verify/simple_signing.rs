//! What cosign's older form says: a JSON document that names the image, signed as it
//! stands (containers-signature.5, cosign's `SIGNATURE_SPEC.md`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::candidate::{Claim, Flaw};
use super::evidence::SimpleSigning;
use super::json;
use super::text::harmless;

/// The largest payload, in bytes. Cosign's have about 250, and what `-a` adds.
const MAX_PAYLOAD_BYTES: usize = 64 << 10;
/// The longest signature in base64. One of RSA 8192 has 1,368 bytes.
const MAX_SIGNATURE_BYTES: usize = 8 << 10;
/// What a payload has to say it is.
const KINDS: &[&str] = &["cosign container image signature", "atomic container signature"];

/// Reads a payload: what it is for. Says nothing about who made it.
///
/// # Errors
/// What is wrong with it.
pub fn claim(payload: &[u8]) -> Result<Claim, Flaw> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Flaw::invalid(format!("its payload is larger than {MAX_PAYLOAD_BYTES} bytes")));
    }
    let document = json::read(payload)
        .map_err(|e| Flaw::invalid(format!("its payload is not valid JSON: {}", harmless(&e, 80))))?;
    let text = |path: &str| document.pointer(path).and_then(Value::as_str);
    match text("/critical/type") {
        Some(kind) if KINDS.contains(&kind) => {}
        Some(kind) => {
            return Err(Flaw::Other(format!("is of type {:?}, not a signature", harmless(kind, 60))));
        }
        None => return Err(Flaw::invalid("its payload has no critical.type")),
    }
    let digest = text("/critical/image/docker-manifest-digest")
        .ok_or_else(|| Flaw::invalid("its payload names no docker-manifest-digest"))?;
    let reference = text("/critical/identity/docker-reference").filter(|r| !r.is_empty());
    Ok(Claim { digest: digest.to_owned(), reference: reference.map(str::to_owned) })
}

/// The bytes of a signature.
pub(super) fn signature(found: &SimpleSigning) -> Result<Vec<u8>, Flaw> {
    if found.signature.is_empty() {
        return Err(Flaw::invalid("has no dev.cosignproject.cosign/signature"));
    }
    let decoded = (found.signature.len() <= MAX_SIGNATURE_BYTES).then(|| STANDARD.decode(&found.signature));
    decoded.and_then(Result::ok).ok_or_else(|| Flaw::invalid("its signature is not base64"))
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
        check(&payload("null", r#""sha256:1""#, r#""r""#), Err("critical.type"));
        check(r#"{"critical":{},"critical":{}}"#, Err("twice"));
        check("", Err("not valid JSON"));
        check(&format!("{}x", " ".repeat(MAX_PAYLOAD_BYTES)), Err("larger than 65536"));
        let twice = r#"{"critical":{"image":{"docker-manifest-digest":"sha256:1","docker-manifest-digest":"sha256:2"}}}"#;
        check(twice, Err("twice"));
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
