//! `supercargo inspect artifact`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::fetch::{self, Fetched};
use super::{evidence, signers};
use crate::cli::args::{ClusterArgs, IdentityArgs, PageArgs, RegistryArgs, VerifyArgs};
use crate::cli::print::output;
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::identity::ObjectId;
use crate::domain::images::{container_images, distinct_images};
use crate::domain::object::Object;
use crate::domain::verify::proof::Proof;

/// Print what is in an artifact.
///
/// Reads the artifact from the registry and prints by what and when it was built, its checksum, its
/// objects and their container images; with --key or --certificate-identity, who has signed it,
/// too, and nothing of one that is not signed so.
///
/// Exit codes: 0; 1 when it is not there, may not be read, is not an artifact, or is not signed as
/// asked for; 2 for a URL that is none.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct InspectArtifact {
    /// What to look into: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    url: String,
    /// Prints only the container images that the manifests name, each once, sorted.
    #[arg(long)]
    container_images: bool,
    /// Whose signature it has to have.
    #[command(flatten)]
    verify: VerifyArgs,
    /// What it is decrypted with.
    #[command(flatten)]
    keys: IdentityArgs,
    /// How the report is printed.
    #[command(flatten)]
    output: PageArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0

  # Who has signed it?
  supercargo inspect artifact oci://ghcr.io/acme/app-config:v1.0.0 --key cosign.pub

  # Hand every image in it to another program
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    verified_by: Vec<evidence::ShownSignature>,
    annotations: BTreeMap<String, String>,
    manifests: Vec<Manifest>,
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

impl InspectArtifact {
    /// Prints what is in an artifact, or the images that it runs.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, container_images, verify, keys, output, registry: reach } = self;
        let policy = signers::asked(verify, printer)?;
        let fetched =
            fetch::artifact(url, reach, keys, policy.as_ref(), &login::registry(reach, printer)).await?;
        let objects = fetched.bundle(url)?.objects;
        if *container_images {
            let images = distinct_images(&objects);
            refuse_no_images(&images)?;
            if let Some(proof) = &fetched.proof {
                evidence::say(printer, &fetched.name(), proof);
            }
            return match output.output {
                Some(format) => output::data(printer, format, &images),
                None => images.iter().try_for_each(|image| printer.line(image)),
            };
        }
        let report = report(&fetched, &objects);
        match output.output {
            Some(format) => output::data(printer, format, &report),
            None => print(&report, fetched.proof.as_ref(), printer),
        }
    }
}

/// What programs read as a flag, or as more than one word, is no image; scripts
/// hand the list on.
fn refuse_no_images(images: &[String]) -> Result<(), CliError> {
    let is_none = |image: &&String| {
        image.starts_with('-') || image.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    match images.iter().find(is_none) {
        Some(image) => Err(CliError::Input(format!("a manifest names {image:?} as an image, which is none"))),
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
    printer.line("Manifests:")?;
    for Manifest { object, images, .. } in &report.manifests {
        printer.line(format!("   {object}"))?;
        images.iter().try_for_each(|image| printer.line(format!("   - {image}")))?;
    }
    Ok(())
}
