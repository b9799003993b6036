//! Evidence on disk, for the time when the registry is unavailable. It is judged again
//! each time, so it needs no trust and does not expire; an answer of the registry
//! replaces it, also with nothing.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};

use crate::domain::verify::evidence::{Content, Evidence, Found, SimpleSigning};
use crate::oci::limits::MAX_ANSWER_BYTES;

/// A record as it is written: one result at a time is encoded.
#[derive(Serialize)]
struct Writing<'a> {
    found: Vec<Encoded<'a>>,
    skipped: &'a [String],
}

struct Encoded<'a>(&'a Found);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Entry::of(self.0.clone()).serialize(serializer)
    }
}

/// Bytes up to the limit of what is remembered.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > MAX_ANSWER_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Deserialize)]
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

/// The encoded form; nothing where that fails, or exceeds the limit.
pub(super) fn write(evidence: &Evidence) -> Option<Vec<u8>> {
    let found = evidence.found.iter().map(Encoded).collect();
    let mut bytes = Bounded::default();
    serde_json::to_writer(&mut bytes, &Writing { found, skipped: &evidence.skipped }).ok()?;
    Some(bytes.0)
}

/// The decoded form, if it is valid.
pub(super) fn read(bytes: &[u8]) -> Option<Evidence> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
    let found: Option<_> = record.found.into_iter().map(Entry::into_found).collect();
    Some(Evidence { found: found?, skipped: record.skipped, setback: None })
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
            setback: None,
        };
        assert_eq!(read(&write(&evidence).unwrap()), Some(evidence));
        for damaged in ["", "{}", "[]", r#"{"found":[{"place":"x","bytes":"!"}],"skipped":[]}"#] {
            assert_eq!(read(damaged.as_bytes()), None, "{damaged}");
        }
    }
    #[test]
    fn promise_7_what_is_remembered_has_a_bound() {
        let found = Found { place: "x".into(), content: Content::Bundle(vec![0; 1 << 20]) };
        let of = |n: usize| Evidence { found: vec![found.clone(); n], ..Evidence::default() };
        assert!(write(&of(8)).is_some());
        assert_eq!(write(&of(18)), None);
    }
}
