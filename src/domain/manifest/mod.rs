//! Kubernetes manifests: bytes of YAML or JSON to objects and back, what patches make of
//! them, and what differs between two.

pub mod budget;
pub mod canonical;
pub mod decode;
pub mod diff;
pub mod encoding;
mod events;
pub(in crate::domain) mod json;
mod namespace;
pub mod patch;
pub mod render;
pub mod scalar;
pub mod split;
pub(in crate::domain) mod strip;
pub mod yaml;
