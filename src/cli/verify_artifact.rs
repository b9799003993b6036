//! `supercargo verify artifact`.

use serde::Serialize;

use crate::cli::args::VerifyArtifact;
use crate::cli::images::{self, FromHere};
use crate::cli::print::output;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer, evidence, fetch, signers};
use crate::oci::Selection;

/// Who has signed an artifact, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    url: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    verified_by: Vec<evidence::Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<images::Shown>>,
}

/// Prints who has signed an artifact, and its images where that is asked for;
/// fails unless all are signed.
pub(super) async fn artifact(arguments: &VerifyArtifact, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let VerifyArtifact { url, signers, output, registry: reach, keys, .. } = arguments;
    let policy = signers::required(signers, "verify artifact", printer)?;
    let exempt = images::exempt(&arguments.image_exempt)?;
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
    if arguments.images {
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
