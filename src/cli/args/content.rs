//! Manifests, artifacts among them.

use clap::Args;

use super::{IdentityArgs, RegistryArgs, SourceArgs, VerifyArgs};

/// Manifests, artifacts among them.
#[derive(Debug, Args)]
pub struct ContentArgs {
    /// What is read.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// An artifact, oci://host/repository[:tag][@digest]; latest unless given; may be repeated.
    #[arg(short = 'a', long = "artifact", value_name = "URL", value_delimiter = ',')]
    pub artifacts: Vec<String>,
    /// Whose signature the artifacts have to have.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// What artifacts are decrypted with.
    #[command(flatten)]
    pub keys: IdentityArgs,
    /// How to reach the registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
}
