//! The input and the results of a pull: values without behaviour.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::oci::artifact::encryption::Identities;
use crate::oci::artifact::{Composition, Form};
use crate::oci::content::{Queue, Room, Size};
use crate::oci::reference::{Digest, Tag};

/// The result of resolving a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest; all further steps use it.
    pub digest: Digest,
    /// The tag, where one was requested or chosen.
    pub tag: Option<Tag>,
    /// `tag@sha256:…` or `sha256:…`, for people and for status.
    pub revision: String,
    /// What the tag names, where it was requested together with a digest that it does not name.
    pub stray: Option<StrayTag>,
}

/// What a tag names instead of the digest that it should name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StrayTag {
    /// This digest.
    Other(Digest),
    /// Nothing: the registry does not know the tag.
    Gone,
}

impl StrayTag {
    /// For people: what the registry says of a tag.
    pub fn describe(&self, tag: &Tag) -> String {
        match self {
            Self::Other(digest) => format!("tag {tag} names {digest}"),
            Self::Gone => format!("tag {tag} was not found"),
        }
    }
}

/// Which part of an artifact is wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The media type of the layers; absent: those that are an archive or YAML.
    pub media_type: Option<String>,
    /// Whether all such layers are merged, and not only the first is used.
    pub all_layers: bool,
    /// The directory or file in the artifact; empty or `./`: everything.
    pub path: String,
    /// The keys for encrypted files; absent: they are refused.
    pub identities: Option<Identities>,
    /// The tenant whose share of the memory it uses.
    pub tenant: String,
    /// Its assumed size.
    pub size: Size,
    /// Shows when it waits for memory.
    pub queue: Queue,
}

/// The content of an artifact, verified against its digest. Its origin is not verified
/// yet.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The digest that was fetched; of the index, if it is one.
    pub digest: Digest,
    /// When it was made, from its annotations.
    pub created: Option<String>,
    /// The URL of its source, from its annotations.
    pub source: Option<String>,
    /// The revision of the source, from its annotations.
    pub revision: Option<String>,
    /// Whether it was decrypted.
    pub encrypted: bool,
    /// All annotations that can be shown.
    pub annotations: BTreeMap<String, String>,
    /// Its files by their name from the artifact's root, in its order: manifests below the path, or
    /// all of them.
    pub files: Vec<(String, Bytes)>,
    /// What these files are.
    pub form: Form,
    /// What it consists of, and what of it is used.
    pub composition: Composition,
    /// Its reserved memory.
    pub room: Room,
}
