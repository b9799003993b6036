//! What the administrator allows: which registries, and how much in a namespace.

pub mod quota;
pub mod registry;
