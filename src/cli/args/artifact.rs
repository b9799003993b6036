//! The verbs on artifacts.

use std::path::PathBuf;

use clap::Args;

use super::{ClusterArgs, OutputArgs, PageArgs, RegistryArgs, SourceArgs, VerifyArgs};

/// What encrypted artifacts are read with.
#[derive(Debug, Default, Args)]
pub struct IdentityArgs {
    /// A file of private keys (AGE-SECRET-KEY-1…), one a line, for artifacts that are encrypted.
    #[arg(long, value_name = "FILE")]
    pub age_identities: Option<PathBuf>,
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
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// Which revision of the source they are, such as main@sha1:….
    #[arg(long, value_name = "TEXT")]
    pub revision: Option<String>,
    /// A further annotation, KEY=VALUE; may be repeated.
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
    /// When the artifact was made (RFC 3339); otherwise $SOURCE_DATE_EPOCH, otherwise now.
    #[arg(long, value_name = "TIME")]
    pub created: Option<String>,
    /// A file of public keys (age1…), one a line: encrypts the manifests for their owners.
    #[arg(long, value_name = "FILE")]
    pub age_recipients: Option<PathBuf>,
    /// How the result is printed.
    #[command(flatten)]
    pub output: PageArgs,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

impl PushArtifact {
    /// A push without annotations.
    pub fn of(url: String, sources: SourceArgs, registry: RegistryArgs) -> Self {
        Self {
            url,
            sources,
            source: None,
            revision: None,
            annotations: Vec::new(),
            created: None,
            age_recipients: None,
            output: PageArgs::default(),
            registry,
        }
    }
}

/// `pull artifact`.
#[derive(Debug, Args)]
pub struct PullArtifact {
    /// What to pull: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    pub url: String,
    /// Whose signature it has to have.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// What it is decrypted with.
    #[command(flatten)]
    pub keys: IdentityArgs,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `tag artifact`.
#[derive(Debug, Args)]
pub struct TagArtifact {
    /// What to tag: oci://host/repository:tag or oci://host/repository@digest.
    pub url: String,
    /// The new tags; one that exists is moved.
    #[arg(required = true, value_name = "TAG")]
    pub tags: Vec<String>,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `list artifacts`.
#[derive(Debug, Args)]
pub struct ListArtifacts {
    /// The repository: oci://host/repository.
    pub url: String,
    /// Only tags that are versions in this range, such as 1.x or '>=1.0.0 <2.0.0'.
    #[arg(long, value_name = "RANGE")]
    pub semver: Option<String>,
    /// How the list is printed.
    #[command(flatten)]
    pub output: OutputArgs,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `inspect artifact`.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden())]
pub struct InspectArtifact {
    /// What to look into: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    pub url: String,
    /// Prints only the container images that the manifests name, each once, sorted.
    #[arg(long)]
    pub container_images: bool,
    /// Whose signature it has to have.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// What it is decrypted with.
    #[command(flatten)]
    pub keys: IdentityArgs,
    /// How the report is printed.
    #[command(flatten)]
    pub output: PageArgs,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `diff artifact`.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden())]
pub struct DiffArtifact {
    /// What is compared: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    #[arg(value_name = "URL")]
    pub before: String,
    /// What it is compared with.
    #[arg(value_name = "OTHER-URL")]
    pub after: String,
    /// Whose signature both have to have.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// What they are decrypted with.
    #[command(flatten)]
    pub keys: IdentityArgs,
    /// How the differences are printed.
    #[command(flatten)]
    pub output: PageArgs,
    /// How to reach the registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
}
