//! Reading from a registry: from a reference to a digest, from a digest to files.

mod download;
mod fetch;
mod fetched;
mod manifest;
mod notes;
mod resolve;
mod source;
mod tags;

pub use fetched::{Artifact, Resolved, Selection, StrayTag};
pub(super) use manifest::manifest_body;
