//! The container images of an artifact, verified without a cluster:
//! with the credentials of this machine.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;

use super::{evidence, fetch};
use crate::api::reason::Reason;
use crate::cli::args::RegistryArgs;
use crate::cli::print::text::folded;
use crate::cli::reach::login;
use crate::cli::{CliError, Lines, Printer};
use crate::domain::object::Object;
use crate::domain::verify::images::{ImageName, ImagePolicies, ImageSigners, Pattern};
use crate::domain::verify::policy::Policy;
use crate::oci::{Access, Keyring, Registry, Repository};
use crate::reconcile::error::{RunFailure, failure};
use crate::reconcile::trust::images::{ImageAccess, ImageFailure, Images, verify_images};

/// Every image.
const ALL: &str = "*";

/// An image of the manifests, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct ShownImage {
    image: String,
    /// The image with its digest; absent where nothing was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    verified_by: Vec<evidence::ShownSignature>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exempt: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// The patterns of `--image-exempt`.
///
/// # Errors
/// When one is invalid.
pub(in crate::cli) fn exempt(patterns: &[String]) -> Result<Vec<Pattern>, CliError> {
    let parsed = patterns.iter().map(|pattern| Pattern::parse(pattern));
    parsed.collect::<Result<_, _>>().map_err(|e| CliError::Usage(format!("--image-exempt {e}")))
}

/// Verifies every image of the objects, except those that are exempt.
///
/// # Errors
/// When there are too many.
pub(in crate::cli) async fn verify(
    registry: &Registry,
    objects: &[Object],
    (policy, exempt): (&Policy, Vec<Pattern>),
    access: &FromHere<'_>,
) -> Result<Images, CliError> {
    let pattern = Pattern::parse(ALL).map_err(CliError::Usage)?;
    let rules = vec![ImageSigners { pattern, policies: vec![policy.clone()] }];
    let policies = ImagePolicies { exempt, rules };
    let known = BTreeMap::new();
    verify_images(registry, objects, &policies, access, &known).await.map_err(fetch::refused)
}

/// Prints the results for the images, sorted by name.
///
/// # Errors
/// When stdout cannot be written.
pub(in crate::cli) fn print(images: &Images, printer: &mut Printer<'_>) -> Result<(), CliError> {
    if images.verified.is_empty() && images.exempt.is_empty() {
        // No images, or only failures, which are reported elsewhere.
        return Ok(());
    }
    printer.line("Images:")?;
    for image in &images.verified {
        printer.line(format!("   {}", image.pinned))?;
        for proof in &image.proofs {
            printer.line(format!("   - {}", evidence::signers(proof)))?;
        }
    }
    for image in &images.exempt {
        printer.line(format!("   {image}"))?;
        printer.line("   - exempt")?;
    }
    Ok(())
}

/// The same for programs.
pub(in crate::cli) fn shown(images: &Images) -> Vec<ShownImage> {
    let none = |image: &str| ShownImage {
        image: image.to_owned(),
        verified: None,
        verified_by: Vec::new(),
        exempt: false,
        refused: None,
    };
    let verified = images.verified.iter().map(|i| ShownImage {
        verified: Some(i.pinned.clone()),
        verified_by: i.proofs.iter().flat_map(evidence::shown).collect(),
        ..none(&i.written)
    });
    let exempt = images.exempt.iter().map(|image| ShownImage { exempt: true, ..none(image) });
    let refused =
        images.failures.iter().map(|f| ShownImage { refused: Some(f.message.clone()), ..none(&f.image) });
    let mut all: Vec<ShownImage> = verified.chain(exempt).chain(refused).collect();
    all.sort_by(|a, b| a.image.cmp(&b.image));
    all
}

/// Fails unless all images are verified or exempt; names every other one.
///
/// # Errors
/// Those.
pub(in crate::cli) fn conclude(images: &Images) -> Result<(), CliError> {
    if images.failures.is_empty() {
        return Ok(());
    }
    let mut lines = Lines::from(format!("{} container image(s) are not verified:", images.failures.len()));
    images.failures.iter().for_each(|failure| lines.push(format!("  {}", folded(&line(failure)))));
    Err(CliError::Several(lines))
}

/// The failure of an image, which is named once, and its objects.
fn line(failure: &ImageFailure) -> String {
    // Such a message begins with the repository and the digest.
    let named = ImageName::parse(&failure.image).ok().and_then(|name| {
        let pinned = failure.message.strip_prefix(name.repository())?.strip_prefix('@')?;
        let (digest, why) = pinned.split_once(' ')?;
        Some(format!("{} {why}", name.pinned(digest)))
    });
    match named {
        Some(message) => {
            let objects: Vec<String> = failure.objects.iter().map(ToString::to_string).collect();
            format!("{message} (in {})", objects.join(", "))
        }
        None => failure.line(),
    }
}

/// How registries are reached from this machine.
pub(in crate::cli) struct FromHere<'a> {
    /// The flags, which are for the registry of the artifact.
    pub reach: &'a RegistryArgs,
    /// That registry.
    pub registry: &'a str,
}

impl ImageAccess for FromHere<'_> {
    /// There is no cluster to read Secrets from.
    fn pull_secret<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Box<RunFailure>>> {
        async { Ok(None) }.boxed()
    }

    fn access<'a>(
        &'a self,
        repository: &'a Repository,
        of_pods: Option<Keyring>,
    ) -> BoxFuture<'a, Result<Access, Box<RunFailure>>> {
        let same = repository.registry() == self.registry;
        async move {
            // Password and plain HTTP are only for the registry of the artifact.
            let ca_file = self.reach.ca_file.clone();
            let provider = Access::provider_at(self.reach.provider, repository);
            let elsewhere = RegistryArgs { ca_file, provider, ..RegistryArgs::default() };
            let reach = if same { self.reach } else { &elsewhere };
            let access = match of_pods {
                Some(keyring) => login::access_with(reach, repository, keyring).await,
                None => login::access(reach, repository).await,
            };
            access.map_err(|e| failure(Reason::ImageNotVerified, e.chain()))
        }
        .boxed()
    }
}
