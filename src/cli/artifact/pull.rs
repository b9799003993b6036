//! `supercargo pull artifact`.

use clap::Args;

use super::{evidence, fetch, signers};
use crate::cli::args::{ReadingArgs, RegistryArgs, VerifyArgs};
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};

/// Print the manifests of an artifact as YAML.
///
/// Pulls the artifact from the registry, checks every digest, and writes its manifests to stdout as
/// YAML. Reads artifacts of Kustomizer, Flux and Supercargo. With --key or --certificate-identity,
/// the signature is verified before the content is read, and the verified digest is pulled.
///
/// Exit codes: 0 success; 1 when the artifact does not exist, cannot be read, is not an artifact,
/// or has no matching signature; 2 invalid URL.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PullArtifact {
    /// Artifact to pull: oci://host/repository[:tag][@digest] (default tag: latest).
    url: String,
    /// Required signatures.
    #[command(flatten)]
    verify: VerifyArgs,
    /// How its content is read.
    #[command(flatten)]
    keys: ReadingArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Print the manifests
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0

  # Print them only if they are signed with your key
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 --verify --key cosign.pub

  # Decrypt an encrypted artifact
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 --age-identities my-key.txt

  # Compare with the cluster
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 | supercargo diff -i app -f-";

impl PullArtifact {
    /// Prints the manifests of an artifact.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, verify, keys, registry: reach } = self;
        let policy = signers::optional(verify, printer)?;
        let registry = login::registry(reach, printer);
        let fetched = fetch::artifact(url, reach, keys.into(), policy.as_ref(), &registry, printer).await?;
        if let Some(proof) = &fetched.proof {
            evidence::say(printer, &fetched.name(), proof);
        }
        let mut yaml = Vec::new();
        for (_, content) in &fetched.artifact.files {
            append(&mut yaml, content);
        }
        printer.data(&yaml)
    }
}

/// Files follow each other as documents: one that neither ends nor begins with
/// a separator gets one.
fn append(yaml: &mut Vec<u8>, content: &[u8]) {
    if !yaml.is_empty() {
        if !yaml.ends_with(b"\n") {
            yaml.push(b'\n');
        }
        if !yaml.ends_with(b"---\n") && !content.starts_with(b"---") {
            yaml.extend_from_slice(b"---\n");
        }
    }
    yaml.extend_from_slice(content);
}
