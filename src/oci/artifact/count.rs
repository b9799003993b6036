//! How much a manifest lists, counted before anything of it is kept: what four megabytes of descriptors
//! become in memory is in no room.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::oci::error::OciError;
use crate::oci::limits::{MAX_DESCRIPTORS, MAX_MANIFEST_ANNOTATIONS};

/// Refuses a manifest or an index that lists too much.
pub(super) fn check(bytes: &[u8]) -> Result<(), OciError> {
    let found: Listed = serde_json::from_slice(bytes).map_err(|e| {
        OciError::invalid(format!("its manifest is not valid (line {}, column {})", e.line(), e.column()))
    })?;
    let lists = [found.layers.as_ref(), found.manifests.as_ref()];
    let descriptors: usize = lists.iter().flatten().map(|list| list.items).sum();
    if descriptors > MAX_DESCRIPTORS {
        return Err(OciError::too_large(format!(
            "its manifest lists {descriptors} layers or manifests, more than {MAX_DESCRIPTORS}"
        )));
    }
    let own =
        [found.annotations.as_ref(), found.config.as_ref().and_then(|config| config.annotations.as_ref())];
    let own: usize = own.iter().flatten().map(|entries| entries.0).sum();
    let annotations = own + lists.iter().flatten().map(|list| list.annotations).sum::<usize>();
    if annotations > MAX_MANIFEST_ANNOTATIONS {
        return Err(OciError::too_large(format!(
            "its manifest has {annotations} annotations, more than {MAX_MANIFEST_ANNOTATIONS}"
        )));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    annotations: Option<Entries>,
    #[serde(default)]
    config: Option<Described>,
    #[serde(default)]
    layers: Option<Descriptors>,
    #[serde(default)]
    manifests: Option<Descriptors>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    annotations: Option<Entries>,
}

/// The entries of a mapping, by their number.
struct Entries(usize);

/// The items of a list of descriptors, and their annotations, by their number.
#[derive(Default)]
struct Descriptors {
    items: usize,
    annotations: usize,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Entries(count))
            }
        }
        deserializer.deserialize_map(Count)
    }
}

impl<'de> Deserialize<'de> for Descriptors {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = Descriptors;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Descriptors, A::Error> {
                let mut found = Descriptors::default();
                while let Some(one) = list.next_element::<Described>()? {
                    found.items += 1;
                    found.annotations += one.annotations.map_or(0, |entries| entries.0);
                }
                Ok(found)
            }
        }
        deserializer.deserialize_seq(Count)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn promise_7_a_manifest_lists_no_more_than_is_of_use() {
        let check = |manifest: &serde_json::Value, says: &str| {
            let found = check(manifest.to_string().as_bytes()).map_err(|error| error.to_string());
            let error = found.err().unwrap_or_default();
            assert!(error.contains(says) && error.is_empty() == says.is_empty(), "{error:?}, {says:?}");
        };
        let noted = |n: usize| {
            let notes = (0..n).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>();
            json!({"annotations": notes})
        };
        for list in ["layers", "manifests"] {
            check(&json!({list: vec![noted(3); MAX_DESCRIPTORS]}), "");
            check(
                &json!({list: vec![noted(0); MAX_DESCRIPTORS + 1]}),
                "lists 4097 layers or manifests, more than 4096",
            );
            check(&json!({list: vec![noted(8); 2049]}), "has 16392 annotations, more than 16384");
        }
        check(&json!({"layers": vec![noted(0); 2048], "manifests": vec![noted(0); 2049]}), "lists 4097");
        check(&noted(MAX_MANIFEST_ANNOTATIONS), "");
        check(&noted(MAX_MANIFEST_ANNOTATIONS + 1), "has 16385 annotations");
        check(&json!({"config": noted(MAX_MANIFEST_ANNOTATIONS + 1)}), "has 16385 annotations");
        // Descriptors as lists, which serde would read by the position of their fields.
        check(&json!({"layers": [["a/b", "sha256:x", 1, null, {"a": "b"}]]}), "its manifest is not valid");
        check(&json!({"annotations": null, "layers": null, "config": {}}), "");
    }
}
