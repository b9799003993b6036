//! Kubernetes manifests: bytes of YAML or JSON to objects and back, patches, and the
//! differences between two objects.

pub mod budget;
pub mod canonical;
pub mod chart;
pub mod decode;
pub mod diff;
pub mod encoding;
mod events;
pub(in crate::domain) mod json;
pub mod kustomization;
pub mod patch;
pub mod render;
pub mod scalar;
pub mod split;
pub mod substitute;
pub mod yaml;
