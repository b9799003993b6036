//! Names: of hosts, repositories, tags and digests.
//!
//! Parsed once; every part that ends in a URL or a file name has been checked
//! here. Names no other room of `oci`.

mod digest;
mod host;
mod repository;
mod tag;
mod wanted;

pub use digest::Digest;
pub(super) use host::{authority, is_host, is_loopback};
pub use repository::{ArtifactReference, Repository};
pub use tag::Tag;
pub use wanted::Wanted;

pub(super) use crate::domain::zone::Zone;
