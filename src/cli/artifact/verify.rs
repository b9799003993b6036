//! `supercargo verify artifact`.

use clap::Args;
use serde::Serialize;

use super::images::{self, FromHere};
use super::{evidence, fetch, signers};
use crate::cli::args::{PageArgs, ReadingArgs, RegistryArgs, SignerArgs};
use crate::cli::print::output;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::oci::Selection;

/// Verify the signatures of an artifact and of its container images.
///
/// Resolves the tag to a digest once, reads the cosign signatures of that digest (the tag
/// sha256-….sig, and Sigstore bundles among its referrers), and verifies them without cosign.
/// Prints who signed it, how, and when, if a log or a timestamp proves the time. With --images,
/// also verifies every container image in the manifests, and prints each with its verified digest.
/// --creds and --insecure are for the registry of the artifact; other registries are accessed with
/// the credentials of this machine, or of pull Secrets in the artifact.
///
/// For signatures of `cosign sign --key`, set --key. For keyless signatures, set
/// --certificate-identity and --certificate-oidc-issuer, or their -regexp forms, which must match
/// the whole text.
///
/// Exit codes: 0 when all required signatures exist; 1 when a signature is missing, see stderr; 2
/// when no signer is set, or the flags contradict each other.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct VerifyArtifact {
    /// Artifact to verify: oci://host/repository[:tag][@digest] (default tag: latest).
    url: String,
    /// Trusted signers.
    #[command(flatten)]
    signers: SignerArgs,
    /// Also verify all container images of the manifests, with the same keys or identity.
    #[arg(long)]
    images: bool,
    /// Image repositories that need no signature, such as 'docker.io/library/*' (* matches any characters); may be repeated.
    #[arg(long, value_name = "PATTERN", requires = "images")]
    image_exempt: Vec<String>,
    /// How its content is read.
    #[command(flatten)]
    keys: ReadingArgs,
    /// Options of the output.
    #[command(flatten)]
    output: PageArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Verify with a key
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub

  # Verify the artifact and its images, except those of docker.io/library
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub \\
    --images --image-exempt 'docker.io/library/*'

  # Verify a keyless signature of a workflow
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 \\
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0 \\
    --certificate-oidc-issuer https://token.actions.githubusercontent.com

  # Require two of three keys
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key ann.pub --key ben.pub --key eve.pub --threshold 2";

/// The signers of an artifact, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    url: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    verified_by: Vec<evidence::ShownSignature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<images::ShownImage>>,
}

impl VerifyArtifact {
    /// Prints who signed an artifact, and its images with `--images`;
    /// fails unless all are signed.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, signers, output, registry: reach, keys, .. } = self;
        let policy = signers::required(signers, "verify artifact", printer)?;
        let exempt = images::exempt(&self.image_exempt)?;
        let identities = login::identities(keys)?;
        let registry = login::registry(reach, printer);
        let located = fetch::locate(url, reach, &registry, printer).await?;
        let proof = located.verify(&registry, &policy).await?;
        let mut report = Report {
            url: format!("oci://{}", located.name()),
            digest: located.resolved.digest.to_string(),
            tag: located.resolved.tag.as_ref().map(ToString::to_string),
            verified_by: evidence::shown(&proof),
            images: None,
        };
        let mut images = None;
        if self.images {
            let host = located.repository.registry().to_owned();
            let selection = Selection { identities, all_layers: keys.all_layers(), ..Selection::default() };
            let objects = located.fetch(None, selection, &registry, keys.into()).await?.bundle(url)?.objects;
            let access = FromHere { reach, registry: &host };
            images = Some(images::verify(&registry, &objects, (&policy, exempt), &access).await?);
        }
        match &output.output {
            Some(format) => {
                report.images = images.as_ref().map(images::shown);
                output::data(printer, format, &report)?;
            }
            None => {
                printer.line(format!("Artifact: {}", report.url))?;
                if let Some(tag) = &report.tag {
                    printer.line(format!("Tag: {tag}"))?;
                }
                evidence::print(printer, &proof)?;
                images.iter().try_for_each(|images| images::print(images, printer))?;
            }
        }
        images.as_ref().map_or(Ok(()), images::conclude)
    }
}
