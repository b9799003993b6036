//! Releases: what a spec asks for, what a person asks for by hand, what can be told of a
//! spec that makes no sense, and what another tool's release means here.

pub mod adopt;
mod manual;
pub mod observed;
mod spec;

pub use manual::ManualRelease;
pub use spec::{InvalidSpec, Release, WantedVersion, has_begun, id_of, object_name};
