//! Manifests, artifacts among them.

use clap::Args;

use super::{ReadingArgs, RegistryArgs, SourceArgs, SubstituteArgs, VerifyArgs};

/// Manifests, artifacts among them.
#[derive(Debug, Args)]
pub struct ContentArgs {
    /// The input.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Artifact, oci://host/repository[:tag][@digest] (default tag: latest); may be repeated.
    #[arg(short = 'a', long = "artifact", value_name = "URL", value_delimiter = ',')]
    pub artifacts: Vec<String>,
    /// Variables in the objects.
    #[command(flatten)]
    pub variables: SubstituteArgs,
    /// Required signatures of the artifacts.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// How their content is read.
    #[command(flatten)]
    pub keys: ReadingArgs,
    /// How to reach the registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
}
