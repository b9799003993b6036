//! What the annotations of an artifact say, and nothing else of its manifest: it is kept while the
//! artifact waits for memory.

use std::collections::BTreeMap;

use crate::oci::limits::{MAX_ANNOTATION_BYTES, MAX_SHOWN_ANNOTATIONS};

/// What the annotations of an artifact say.
pub(super) struct Notes {
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// The hash of its first layer.
    pub checksum: Option<String>,
    pub created: Option<String>,
    pub source: Option<String>,
    pub revision: Option<String>,
    /// Those that can be shown, the first ones if there are many.
    pub shown: BTreeMap<String, String>,
}

impl Notes {
    pub fn of(annotations: &BTreeMap<String, String>) -> Self {
        let note = |key: &str| annotations.get(key).filter(|value| is_fit(value)).cloned();
        let is_short = |(key, value): &(&String, &String)| key.len() <= MAX_ANNOTATION_BYTES && is_fit(value);
        let shown = annotations.iter().filter(is_short).take(MAX_SHOWN_ANNOTATIONS);
        // A longer one is cut, and then matches nothing either.
        let checksum = ["supercargo.dev/checksum", "kustomizer.dev/checksum"]
            .iter()
            .find_map(|key| annotations.get(*key));
        Self {
            is_encrypted: ["supercargo.dev/encrypted", "kustomizer.dev/encrypted"]
                .iter()
                .any(|key| annotations.contains_key(*key)),
            checksum: checksum.map(|sum| sum.chars().take(MAX_ANNOTATION_BYTES).collect()),
            created: note("org.opencontainers.image.created").or_else(|| note("kustomizer.dev/created")),
            source: note("org.opencontainers.image.source"),
            revision: note("org.opencontainers.image.revision"),
            shown: shown.map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// Whether a value can be shown: of limited length, without control characters.
fn is_fit(value: &str) -> bool {
    !value.is_empty() && value.len() <= MAX_ANNOTATION_BYTES && !value.chars().any(char::is_control)
}
