//! `supercargo inspect artifact`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::InspectArtifact;
use super::fetch::{self, Fetched};
use super::{CliError, Printer, login, output};
use crate::domain::images::{container_images, distinct_images};
use crate::domain::object::Object;

/// What is in an artifact, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    url: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    built_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    encrypted: bool,
    annotations: BTreeMap<String, String>,
    manifests: Vec<Manifest>,
}

/// One object, for programs.
#[derive(Serialize)]
struct Manifest {
    object: String,
    images: Vec<String>,
}

/// Prints what is in an artifact, or the images that it runs.
pub(super) async fn artifact(arguments: &InspectArtifact, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let InspectArtifact { url, container_images, keys, output, registry: reach } = arguments;
    let fetched = fetch::artifact(url, reach, keys, &login::registry(printer)).await?;
    let objects = fetched.bundle(url)?.objects;
    if *container_images {
        let images = distinct_images(&objects);
        return match output.output {
            Some(format) => output::data(printer, format, &images),
            None => images.iter().try_for_each(|image| printer.line(image)),
        };
    }
    let report = report(&fetched, &objects);
    match output.output {
        Some(format) => output::data(printer, format, &report),
        None => print(&report, printer),
    }
}

fn report(fetched: &Fetched, objects: &[Object]) -> Report {
    let artifact = &fetched.artifact;
    let note = |key: &str| {
        let owners = ["supercargo", "kustomizer"];
        owners.into_iter().find_map(|o| Some((o, artifact.annotations.get(&format!("{o}.dev/{key}"))?)))
    };
    let manifest =
        |object: &Object| Manifest { object: object.id().to_string(), images: container_images(object) };
    Report {
        url: format!("oci://{}", fetched.name()),
        digest: artifact.digest.to_string(),
        built_by: note("version").map(|(owner, version)| format!("{owner} v{version}")),
        created_at: artifact.created.clone(),
        source: artifact.source.clone(),
        revision: artifact.revision.clone(),
        checksum: note("checksum").map(|(_, checksum)| checksum.clone()),
        encrypted: artifact.encrypted,
        annotations: artifact.annotations.clone(),
        manifests: objects.iter().map(manifest).collect(),
    }
}

fn print(report: &Report, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let facts = [
        ("Built by", &report.built_by),
        ("Created at", &report.created_at),
        ("Source", &report.source),
        ("Revision", &report.revision),
        ("Checksum", &report.checksum),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            printer.line(&format!("{name}: {fact}"))?;
        }
    }
    if report.encrypted {
        printer.line("Encrypted with: age-encryption.org/v1")?;
    }
    printer.line("Manifests:")?;
    for Manifest { object, images } in &report.manifests {
        printer.line(&format!("   {object}"))?;
        images.iter().try_for_each(|image| printer.line(&format!("   - {image}")))?;
    }
    Ok(())
}
