//! What kustomize knows of the kinds of Kubernetes: which lists merge, and where names,
//! labels and namespaces stand.

pub(super) mod fields;
mod kinds;
pub(super) mod locations;
pub(super) mod schema;
