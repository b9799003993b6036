//! Which revision a spec wants of its repository.

use super::digest::is_digest;
use super::version::{Range, TagFilter};
use crate::api::release::Reference;

/// Which revision is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedVersion {
    /// A tag.
    Tag(String),
    /// A digest, and the tag that should name it.
    Pinned {
        /// The tag.
        tag: String,
        /// The digest.
        digest: String,
    },
    /// The highest tag of a range.
    Semver {
        /// The range.
        range: String,
        /// A regular expression over tags.
        filter: Option<String>,
    },
    /// A digest.
    Digest(String),
}

impl Default for WantedVersion {
    /// A placeholder that does not exist.
    fn default() -> Self {
        Self::Tag(String::new())
    }
}

impl WantedVersion {
    /// What a reference wants: its digest, else its range, else its tag, else the tag `latest`.
    ///
    /// # Errors
    /// The field, below `spec`, and what is wrong with it.
    pub fn of(reference: &Reference) -> Result<Self, (&'static str, String)> {
        if let Some(digest) = &reference.digest {
            return Ok(Self::Digest(digest.clone()));
        }
        if let Some(range) = &reference.semver {
            if let Some(filter) = &reference.semver_filter {
                TagFilter::parse(filter).map_err(|e| ("ref.semverFilter", e.to_string()))?;
            }
            Range::parse(range).map_err(|e| ("ref.semver", e.to_string()))?;
            return Ok(Self::Semver { range: range.clone(), filter: reference.semver_filter.clone() });
        }
        match split_tag(reference.tag.as_deref().unwrap_or("latest")) {
            (tag, None) => Ok(Self::Tag(tag.to_owned())),
            (tag, Some(digest)) if is_digest(digest) => {
                Ok(Self::Pinned { tag: tag.to_owned(), digest: digest.to_owned() })
            }
            (tag, Some(_)) => Err((
                "ref.tag",
                format!("after {tag}@ must come a digest: sha256: and 64 hexadecimal digits in lower case"),
            )),
        }
    }
}

/// The tag of `1.0.0@sha256:…`, and the digest that is written with it.
pub fn split_tag(text: &str) -> (&str, Option<&str>) {
    text.split_once('@').map_or((text, None), |(tag, digest)| (tag, Some(digest)))
}

/// The digest that a reference names, in its own field or with its tag: what it wants never changes then.
pub fn named_digest(reference: &Reference) -> Option<&str> {
    let with_tag = || reference.tag.as_deref().filter(|_| reference.semver.is_none());
    reference.digest.as_deref().or_else(|| split_tag(with_tag()?).1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reference(value: Value) -> Reference {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_digest_wins_over_a_range_over_a_tag() {
        let check = |written: Value, expected: WantedVersion, digest: Option<&str>| {
            let reference = reference(written);
            assert_eq!(WantedVersion::of(&reference), Ok(expected), "{reference:?}");
            assert_eq!(named_digest(&reference), digest, "{reference:?}");
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("v1@{digest}");
        let range = || WantedVersion::Semver { range: "1.x".into(), filter: None };
        check(json!({}), WantedVersion::Tag("latest".into()), None);
        check(json!({"tag": "v1"}), WantedVersion::Tag("v1".into()), None);
        check(
            json!({"tag": pinned}),
            WantedVersion::Pinned { tag: "v1".into(), digest: digest.clone() },
            Some(&digest),
        );
        check(json!({"tag": "v1", "semver": "1.x"}), range(), None);
        check(json!({"tag": pinned, "semver": "1.x"}), range(), None);
        let whole = json!({"tag": "v1", "semver": "1.x", "digest": "sha256:x"});
        check(whole, WantedVersion::Digest("sha256:x".into()), Some("sha256:x"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let check = |written: Value, field: &str| {
            let (found, why) = WantedVersion::of(&reference(written)).unwrap_err();
            assert!(found == field && !why.is_empty(), "{found}: {why}");
        };
        check(json!({"semver": ">=a.b"}), "ref.semver");
        check(json!({"semver": "1", "semverFilter": "("}), "ref.semverFilter");
        for digest in ["", "latest", "sha256:", "sha256:../../x", "sha256:AAAA", "@sha256:x"] {
            check(json!({"tag": format!("1.0.0@{digest}")}), "ref.tag");
        }
    }
}
