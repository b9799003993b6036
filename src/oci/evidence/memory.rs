//! Evidence as it is kept on disk, for the time when the registry is away. It is
//! judged again each time, so that it needs no trust and has no end; a registry
//! that answers replaces it, also by nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::domain::verify::evidence::{Content, Evidence, Found, SimpleSigning};

#[derive(Serialize, Deserialize)]
struct Record {
    found: Vec<Entry>,
    skipped: Vec<String>,
}

/// Either a bundle or the parts of the older form.
#[derive(Default, Serialize, Deserialize)]
struct Entry {
    place: String,
    /// The bundle, or the payload.
    bytes: String,
    /// Absent: it is a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

/// As it is written; nothing where it cannot be.
pub(super) fn write(evidence: &Evidence) -> Option<Vec<u8>> {
    let found = evidence.found.iter().map(|found| Entry::of(found.clone())).collect();
    serde_json::to_vec(&Record { found, skipped: evidence.skipped.clone() }).ok()
}

/// What was written, if it is that.
pub(super) fn read(bytes: &[u8]) -> Option<Evidence> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
    let found: Option<_> = record.found.into_iter().map(Entry::into_found).collect();
    Some(Evidence { found: found?, skipped: record.skipped })
}

impl Entry {
    fn of(found: Found) -> Self {
        let place = found.place;
        match found.content {
            Content::Bundle(bytes) => Self { place, bytes: STANDARD.encode(bytes), ..Self::default() },
            Content::SimpleSigning(simple) => {
                let SimpleSigning { payload, signature, certificate, chain, bundle, timestamp } = simple;
                let (bytes, signature) = (STANDARD.encode(payload), Some(signature));
                Self { place, bytes, signature, certificate, chain, bundle, timestamp }
            }
        }
    }

    fn into_found(self) -> Option<Found> {
        let Self { place, bytes, signature, certificate, chain, bundle, timestamp } = self;
        let bytes = STANDARD.decode(bytes).ok()?;
        let content = match signature {
            None => Content::Bundle(bytes),
            Some(signature) => Content::SimpleSigning(SimpleSigning {
                payload: bytes,
                signature,
                certificate,
                chain,
                bundle,
                timestamp,
            }),
        };
        Some(Found { place, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let simple = SimpleSigning {
            payload: vec![0, 255, 10],
            signature: "sig".into(),
            chain: Some(String::new()),
            timestamp: Some("at".into()),
            ..SimpleSigning::default()
        };
        let found = |place: &str, content| Found { place: place.into(), content };
        let evidence = Evidence {
            found: vec![
                found("tag", Content::SimpleSigning(simple)),
                found("referrer", Content::Bundle(b"{}".to_vec())),
                found("empty", Content::SimpleSigning(SimpleSigning::default())),
            ],
            skipped: vec!["one".into()],
        };
        assert_eq!(read(&write(&evidence).unwrap()), Some(evidence));
        for damaged in ["", "{}", "[]", r#"{"found":[{"place":"x","bytes":"!"}],"skipped":[]}"#] {
            assert_eq!(read(damaged.as_bytes()), None, "{damaged}");
        }
    }
}
