//! `supercargo pull artifact`.

use clap::Args;

use super::{evidence, fetch, signers};
use crate::cli::args::{IdentityArgs, RegistryArgs, VerifyArgs};
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};

/// Print the Kubernetes manifests of an artifact as YAML.
///
/// Reads the artifact from the registry, checks every digest, and writes its manifests to stdout as
/// YAML. Without a tag it is latest. Artifacts of Kustomizer, Flux and Supercargo can be read. With
/// --key or --certificate-identity nothing is read of it, let alone printed, before its signature
/// is verified; what is pulled is the digest that was.
///
/// Exit codes: 0; 1 when it is not there, may not be read, is not an artifact, or is not signed as
/// asked for; 2 for a URL that is none.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PullArtifact {
    /// What to pull: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    url: String,
    /// Whose signature it has to have.
    #[command(flatten)]
    verify: VerifyArgs,
    /// What it is decrypted with.
    #[command(flatten)]
    keys: IdentityArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Look at it
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0

  # Only if we have signed it
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 --verify --key cosign.pub

  # One that is encrypted
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 --age-identities my-key.txt

  # Compare with the cluster
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.0.0 | supercargo diff -i app -f-";

impl PullArtifact {
    /// Prints the manifests of an artifact.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, verify, keys, registry: reach } = self;
        let policy = signers::asked(verify, printer)?;
        let fetched =
            fetch::artifact(url, reach, keys, policy.as_ref(), &login::registry(reach, printer)).await?;
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
