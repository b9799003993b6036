//! The verbs on artifacts.

use clap::{Args, Subcommand};

use super::{RegistryArgs, SourceArgs};

/// What can be uploaded.
#[derive(Debug, Subcommand)]
pub enum PushCommand {
    /// Pack Kubernetes manifests and push them to a registry.
    Artifact(PushArtifact),
}

/// What can be downloaded.
#[derive(Debug, Subcommand)]
pub enum PullCommand {
    /// Print the Kubernetes manifests of an artifact as YAML.
    Artifact(PullArtifact),
}

/// `push artifact`.
#[derive(Debug, Args)]
pub struct PushArtifact {
    /// Where to push to: oci://host/repository:tag.
    pub url: String,
    /// What is pushed.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Where the manifests come from, such as the URL of a Git repository.
    #[arg(long)]
    pub source: Option<String>,
    /// Which revision of the source they are, such as main@sha1:….
    #[arg(long)]
    pub revision: Option<String>,
    /// A further annotation, KEY=VALUE; may be repeated.
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
    /// When the artifact was made (RFC 3339); otherwise SOURCE_DATE_EPOCH, otherwise now.
    #[arg(long, value_name = "TIME")]
    pub created: Option<String>,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

impl PushArtifact {
    /// A push without annotations.
    pub fn of(url: String, sources: SourceArgs, registry: RegistryArgs) -> Self {
        let (source, revision, annotations, created) = (None, None, Vec::new(), None);
        Self { url, sources, source, revision, annotations, created, registry }
    }
}

/// `pull artifact`.
#[derive(Debug, Args)]
pub struct PullArtifact {
    /// What to pull: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    pub url: String,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}
