//! Programs of others that make manifests out of the files of an artifact: each build is one process,
//! confined to the directory of its files, without network, with limits. This room does not know
//! registries or Kubernetes, and does not decide about trust.

mod attempt;
mod cache;
mod chart;
mod directory;
mod door;
mod error;
mod kustomize;
pub mod limits;
mod options;
mod prepared;
mod probe;
mod process;
mod program;
pub mod sandbox;
mod source;

pub use chart::Chart;
pub use door::{BuildOutput, Builder};
pub use error::BuildError;
pub use kustomize::Tree;
pub use options::{BuildOptions, BuildSwitch};
pub use probe::Availability;
pub use program::BuildProgram;
pub use source::BuildSource;
