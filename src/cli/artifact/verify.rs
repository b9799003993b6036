//! `supercargo verify artifact`.

use clap::Args;
use serde::Serialize;

use super::images::{self, FromHere};
use super::{evidence, fetch, signers};
use crate::cli::args::{IdentityArgs, PageArgs, RegistryArgs, SignerArgs};
use crate::cli::print::output;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::oci::Selection;

/// Verify who has signed an artifact, and the container images that it runs.
///
/// Asks the registry once which digest the tag names, reads the signatures that cosign has put
/// beside that digest (the tag sha256-….sig, and Sigstore bundles among its referrers), and
/// verifies them without cosign. Prints who has signed it, how, and when, where a log or a
/// timestamp proves that. With --images it then does the same for every container image that the
/// manifests name, and prints each with the digest that was verified. --creds and --insecure are
/// for the registry of the artifact; other registries are reached with the credentials of this
/// machine, or of pull Secrets in the artifact.
///
/// Keys: --key, as `cosign sign --key` made the signature. Otherwise an identity:
/// --certificate-identity and --certificate-oidc-issuer, both, or their -regexp forms, which have
/// to match the whole text.
///
/// Exit codes: 0 when everything is signed as asked for; 1 when something is not, stderr says what
/// and why; 2 when nobody is named who has to have signed, or the flags contradict each other.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct VerifyArtifact {
    /// What to verify: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    url: String,
    /// Whose signatures count.
    #[command(flatten)]
    signers: SignerArgs,
    /// Verifies the container images of its manifests too, by the same keys or identity: all of them.
    #[arg(long)]
    images: bool,
    /// Repositories of images that need no signature, such as 'docker.io/library/*' (a star stands for any characters); may be repeated.
    #[arg(long, value_name = "PATTERN", requires = "images")]
    image_exempt: Vec<String>,
    /// What it is decrypted with, to see its images.
    #[command(flatten)]
    keys: IdentityArgs,
    /// How the evidence is printed.
    #[command(flatten)]
    output: PageArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  # By a key
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub

  # The artifact, and all images that it runs but those of others
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub \\
    --images --image-exempt 'docker.io/library/*'

  # By a workflow, without a key
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 \\
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0 \\
    --certificate-oidc-issuer https://token.actions.githubusercontent.com

  # By two of three people
  supercargo verify artifact oci://ghcr.io/acme/app-config:v1.0.0 --key ann.pub --key ben.pub --key eve.pub --threshold 2";

/// Who has signed an artifact, for programs.
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
    /// Prints who has signed an artifact, and its images where that is asked for;
    /// fails unless all are signed.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, signers, output, registry: reach, keys, .. } = self;
        let policy = signers::required(signers, "verify artifact", printer)?;
        let exempt = images::exempt(&self.image_exempt)?;
        let identities = login::identities(keys)?;
        let registry = login::registry(reach, printer);
        let located = fetch::locate(url, reach, &registry).await?;
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
            let selection = Selection { identities, ..Selection::default() };
            let objects = located.fetch(None, selection, &registry).await?.bundle(url)?.objects;
            let ways = FromHere { reach, registry: &host };
            images = Some(images::verify(&registry, &objects, (&policy, exempt), &ways).await?);
        }
        match output.output {
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
