//! Kubernetes manifests: bytes of YAML or JSON to objects and back.

pub mod budget;
pub mod decode;
mod json;
pub mod scalar;
pub mod split;
pub mod yaml;
