//! A look at the files of a kustomization before a program builds it: what a build cannot have is
//! refused with its file and line. What it names is found as kustomize finds it.

mod document;
mod fields;
mod look;
mod path;
mod plugin;
mod refusal;
mod remote;

pub use look::{Looked, kustomization_of, look, tree_conflict};
pub use refusal::KustomizationRefusal;
