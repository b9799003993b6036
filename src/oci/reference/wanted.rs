//! The target in a repository: a tag, a range of tags, or a digest.

use super::digest::Digest;
use super::tag::Tag;
use crate::domain::version::{Range, TagFilter};

/// What a release follows in its repository.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The current target of the tag.
    Tag(Tag),
    /// Exactly these bytes, and the tag that should name them.
    Pinned {
        /// The tag.
        tag: Tag,
        /// The digest.
        digest: Digest,
    },
    /// The highest tag in a range.
    Semver {
        /// The range.
        range: Range,
        /// What a tag must match to be considered.
        filter: Option<TagFilter>,
    },
    /// Exactly these bytes.
    Digest(Digest),
}

impl Wanted {
    /// For people: `tag 1.0.0`, `semver ^1`, a digest.
    pub fn describe(&self) -> String {
        match self {
            Self::Tag(tag) => format!("tag {tag}"),
            Self::Pinned { tag, digest } => format!("{tag}@{digest}"),
            Self::Semver { range, filter: None } => format!("semver {:?}", range.as_str()),
            Self::Semver { range, filter: Some(filter) } => {
                format!("semver {:?} with semverFilter {:?}", range.as_str(), filter.as_str())
            }
            Self::Digest(digest) => digest.to_string(),
        }
    }
}
