//! `supercargo inspect artifact`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::fetch::{self, Fetched};
use super::{evidence, signers};
use crate::cli::args::{ClusterArgs, PageArgs, ReadingArgs, RegistryArgs, VerifyArgs};
use crate::cli::print::output;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ObjectId;
use crate::domain::images::{container_images, distinct_images};
use crate::domain::message::and_more;
use crate::domain::object::Object;
use crate::domain::subjects::Subjects;
use crate::domain::verify::proof::Proof;
use crate::oci::LayerUse;

/// Show the content of an artifact.
///
/// Shows how and when the artifact was built, its checksum, what has made it, its layers and which of
/// them are used, its objects and container images. With
/// --key or --certificate-identity, also shows who signed it, and shows nothing without a matching
/// signature.
///
/// Exit codes: 0 success; 1 when the artifact does not exist, cannot be read, is not an artifact,
/// or has no matching signature; 2 invalid URL.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct InspectArtifact {
    /// Artifact to inspect: oci://host/repository[:tag][@digest] (default tag: latest).
    url: String,
    /// Print only the container images of the manifests, each once, sorted.
    #[arg(long)]
    container_images: bool,
    /// Required signatures.
    #[command(flatten)]
    verify: VerifyArgs,
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
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0

  # Show who signed it
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub

  # Pass every image to another program
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0 --container-images | xargs -n1 trivy image";

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
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    artifact_type: String,
    /// The manifest of an image index.
    #[serde(skip_serializing_if = "Option::is_none")]
    index_manifest: Option<String>,
    layers: Vec<ShownLayer>,
    #[serde(skip_serializing_if = "is_zero")]
    more_layers: usize,
    /// Whether its origin says all of that: it has one layer, which is used.
    #[serde(skip)]
    is_usual: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    verified_by: Vec<evidence::ShownSignature>,
    annotations: BTreeMap<String, String>,
    manifests: Vec<Manifest>,
}

/// One layer, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLayer {
    digest: String,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    used: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One object, for programs.
#[derive(Serialize)]
struct Manifest {
    object: String,
    /// API group, where it is not the core's.
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    images: Vec<String>,
}

impl From<&LayerUse> for ShownLayer {
    fn from(layer: &LayerUse) -> Self {
        let LayerUse { digest, media_type, size, title, is_used } = layer.clone();
        Self { digest, media_type, size, title, used: is_used }
    }
}

impl InspectArtifact {
    /// Prints what is in an artifact, or the images that it runs.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, container_images, verify, keys, output, registry: reach } = self;
        let policy = signers::optional(verify, printer)?;
        let registry = login::registry(reach, printer);
        let fetched = fetch::artifact(url, reach, keys.into(), policy.as_ref(), &registry, printer).await?;
        let objects = fetched.bundle(url)?.objects;
        if *container_images {
            let images = distinct_images(&objects);
            refuse_unsafe_names(&images)?;
            if let Some(proof) = &fetched.proof {
                evidence::say(printer, &fetched.name(), proof);
            }
            return match &output.output {
                Some(format) => output::data(printer, format, &images),
                None => images.iter().try_for_each(|image| printer.line(image)),
            };
        }
        let report = report(&fetched, &objects);
        match &output.output {
            Some(format) => output::data(printer, format, &report),
            None => print(&report, fetched.proof.as_ref(), printer),
        }
    }
}

/// Refuses image names that programs read as a flag or as several words: scripts
/// pass the list on.
fn refuse_unsafe_names(images: &[String]) -> Result<(), CliError> {
    let is_unsafe = |image: &&String| {
        image.starts_with('-') || image.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    match images.iter().find(is_unsafe) {
        Some(image) => Err(CliError::Input(format!("invalid image name {image:?} in a manifest"))),
        None => Ok(()),
    }
}

fn report(fetched: &Fetched, objects: &[Object]) -> Report {
    let artifact = &fetched.artifact;
    let note = |key: &str| {
        let owners = ["supercargo", "kustomizer"];
        owners.into_iter().find_map(|o| Some((o, artifact.annotations.get(&format!("{o}.dev/{key}"))?)))
    };
    let ids: Vec<ObjectId> = objects.iter().map(Object::id).collect();
    let subjects = Subjects::of(&ids);
    let manifest = |(object, id): (&Object, &ObjectId)| Manifest {
        object: subjects.name(id),
        group: id.group.clone(),
        images: container_images(object),
    };
    Report {
        url: format!("oci://{}", fetched.name()),
        digest: artifact.digest.to_string(),
        built_by: note("version").map(|(owner, version)| format!("{owner} v{version}")),
        created_at: artifact.created.clone(),
        source: artifact.source.clone(),
        revision: artifact.revision.clone(),
        checksum: note("checksum").map(|(_, checksum)| checksum.clone()),
        encrypted: artifact.encrypted,
        kind: artifact.composition.kind.to_string(),
        artifact_type: artifact.composition.media_type.clone(),
        index_manifest: artifact.composition.child.clone(),
        layers: artifact.composition.layers.iter().map(ShownLayer::from).collect(),
        more_layers: artifact.composition.more_layers,
        is_usual: artifact.composition.is_usual(),
        verified_by: fetched.proof.as_ref().map(evidence::shown).unwrap_or_default(),
        annotations: artifact.annotations.clone(),
        manifests: objects.iter().zip(&ids).map(manifest).collect(),
    }
}

fn print(report: &Report, proof: Option<&Proof>, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let facts = [
        ("Built by", &report.built_by),
        ("Created at", &report.created_at),
        ("Source", &report.source),
        ("Revision", &report.revision),
        ("Checksum", &report.checksum),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            printer.line(format!("{name}: {fact}"))?;
        }
    }
    if let Some(proof) = proof {
        evidence::print(printer, proof)?;
    }
    if report.encrypted {
        printer.line("Encrypted with: age-encryption.org/v1")?;
    }
    if !report.is_usual {
        print_layers(report, printer)?;
    }
    printer.line("Manifests:")?;
    for Manifest { object, images, .. } in &report.manifests {
        printer.line(format!("   {object}"))?;
        images.iter().try_for_each(|image| printer.line(format!("   - {image}")))?;
    }
    Ok(())
}

/// What has made the artifact, and which of its layers are used.
fn print_layers(report: &Report, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let stated = if report.artifact_type.is_empty() { "no type" } else { &report.artifact_type };
    printer.line(format!("Kind: {} ({stated})", report.kind))?;
    if let Some(manifest) = &report.index_manifest {
        printer.line(format!("Manifest of the index: {manifest}"))?;
    }
    printer.line("Layers:")?;
    for ShownLayer { digest, media_type, size, title, used } in &report.layers {
        let title = title.as_ref().map(|title| format!(", {title}")).unwrap_or_default();
        let used = if *used { "used" } else { "not used" };
        printer.line(format!("   {} {media_type}, {size} bytes{title}: {used}", shortened(digest)))?;
    }
    if let Some(more) = and_more(report.more_layers) {
        printer.line(format!("   {more}"))?;
    }
    Ok(())
}
