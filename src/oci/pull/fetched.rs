//! What is asked of a registry, and what it comes to: values without behaviour.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::oci::artifact::encryption::Identities;
use crate::oci::content::{Queue, Room, Size};
use crate::oci::reference::{Digest, Tag};

/// What a reference stood for when it was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest; everything after goes by it.
    pub digest: Digest,
    /// The tag, where one was wanted or chosen.
    pub tag: Option<Tag>,
    /// `tag@sha256:…` or `sha256:…`, for people and for status.
    pub revision: String,
}

/// Which part of an artifact is wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The layer's media type; absent: the first that is an archive or YAML.
    pub media_type: Option<String>,
    /// The directory or file in the layer; empty or `./`: everything.
    pub path: String,
    /// What encrypted files are decrypted with; absent: they are refused.
    pub identities: Option<Identities>,
    /// Whose share of the memory it takes.
    pub tenant: String,
    /// How large it may be.
    pub size: Size,
    /// Where it says that it waits for room.
    pub queue: Queue,
}

/// The content of an artifact, verified to be what its digest names, which
/// says nothing yet about who made it.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The digest that was fetched; of the index, if it is one.
    pub digest: Digest,
    /// When it was made, as its annotations say.
    pub created: Option<String>,
    /// Where its source is, as its annotations say.
    pub source: Option<String>,
    /// Which revision of the source it is, as its annotations say.
    pub revision: Option<String>,
    /// Whether it was decrypted.
    pub encrypted: bool,
    /// All annotations that are fit to be shown.
    pub annotations: BTreeMap<String, String>,
    /// Manifest files by their name from the artifact's root, in its order.
    pub files: Vec<(String, Bytes)>,
    /// What it may come to in memory.
    pub room: Room,
}
