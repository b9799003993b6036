//! Programs of others that make manifests out of the files of an artifact: each build is one process,
//! confined to the directory of its files, without network, with limits. This room does not know
//! registries or Kubernetes, and does not decide about trust.

mod cache;
mod directory;
mod door;
mod error;
mod kustomize;
pub mod limits;
mod probe;
mod process;
pub mod sandbox;

pub use door::{BuildOptions, BuildOutput, Builder, Kustomize};
pub use error::BuildError;
pub use kustomize::Tree;
pub use probe::Availability;
