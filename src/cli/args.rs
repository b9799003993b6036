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
    /// Print the CustomResourceDefinition of OCIArtifactRelease as YAML.
    Crd,
    /// Run the operator in a cluster.
    Controller(ControllerArgs),
}

/// `controller`.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// How many releases work at once; any number may wait beside them.
    #[arg(long, env = "SUPERCARGO_CONCURRENCY", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "SUPERCARGO_METRICS_ADDR", default_value = "0.0.0.0:8080", value_name = "HOST:PORT")]
    pub metrics_addr: String,
    /// Where content of artifacts is kept between runs.
    #[arg(long, env = "SUPERCARGO_CACHE_DIR", default_value = "/tmp/supercargo", value_name = "DIR")]
    pub cache_dir: PathBuf,
    /// How much of it is kept: bytes, or with a suffix such as 512Mi or 2Gi.
    #[arg(long, env = "SUPERCARGO_CACHE_MAX_SIZE", default_value = "1Gi", value_name = "SIZE", value_parser = size)]
    pub cache_max_size: u64,
    /// The namespace of the leader election's Lease; the pod's own by default.
    #[arg(long, env = "SUPERCARGO_LEADER_ELECTION_NAMESPACE", value_name = "NAMESPACE")]
    pub leader_election_namespace: Option<String>,
    /// The ServiceAccount, in the release's namespace, of releases that name none; without it they use the controller's own rights.
    #[arg(long, env = "SUPERCARGO_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub default_service_account: Option<String>,
    /// Reconcile the releases of these namespaces only.
    #[arg(long, env = "SUPERCARGO_WATCH_NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',', value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub watch_namespaces: Vec<String>,
    /// How logs are written to stderr; RUST_LOG sets their level.
    #[arg(long, env = "SUPERCARGO_LOG_FORMAT", default_value = "text", value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: String,
}

/// A number of bytes, as Kubernetes writes quantities.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &text[digits.len()..] {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1_u64 << 40,
        _ => return Err("not a size such as 512Mi or 2Gi".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "not a size such as 512Mi or 2Gi".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large".into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_are_read_as_quantities() {
        assert_eq!(size("512Mi"), Ok(512 << 20));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "Mi", "5M", "-1", "99999999999Ti"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
