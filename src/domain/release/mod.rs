//! Releases: what a spec requests, what a person requests at the command line, what is known
//! of an invalid spec, and how the releases of other tools translate to ours.

pub mod adopt;
mod awaited;
mod manual;
pub mod observed;
mod spec;

pub use awaited::Awaited;
pub use manual::ManualRelease;
pub use spec::{InvalidSpec, Release, WantedVersion, has_begun, id_of, object_name};
