//! The local input of a command: files, stdin and overlays, as one set
//! of objects.

pub(super) mod bundle;
pub(super) mod files;
pub(super) mod health_rules;
mod kustomize;
pub(super) mod sources;
pub(super) mod variables;
