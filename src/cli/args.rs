//! What can be typed. Only shapes: what a value means is for the verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// What [`super::exit`] fixes, for people.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, stderr says why; 2 the arguments make no sense.";

/// Configuration artifacts for Kubernetes, in OCI registries.
#[derive(Debug, Parser)]
#[command(name = "supercargo", version, disable_help_subcommand = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Upload to a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Push(PushCommand),
    /// Download from a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Pull(PullCommand),
}

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
    /// A file or a directory of manifests (read recursively), or - for stdin; may be repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "PATH")]
    pub filenames: Vec<PathBuf>,
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

/// `pull artifact`.
#[derive(Debug, Args)]
pub struct PullArtifact {
    /// What to pull: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    pub url: String,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// How to reach a registry.
#[derive(Args)]
pub struct RegistryArgs {
    /// Speak plain HTTP; registries on this machine are spoken to so unless --ca-file is given.
    #[arg(long)]
    pub insecure: bool,
    /// A PEM file of certificates to trust besides the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Credentials for the registry; otherwise those of Docker's config file.
    #[arg(long, value_name = "USER:PASSWORD", env = "SUPERCARGO_CREDS", hide_env_values = true)]
    pub creds: Option<String>,
}

impl std::fmt::Debug for RegistryArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let creds = self.creds.as_ref().map(|_| "***");
        f.debug_struct("RegistryArgs")
            .field("insecure", &self.insecure)
            .field("ca_file", &self.ca_file)
            .field("creds", &creds)
            .finish()
    }
}
