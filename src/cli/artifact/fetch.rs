//! An artifact for a command: by its URL, verified where that is required,
//! decrypted, and as objects.

use super::chart;
use super::reading::ArtifactReading;
use crate::builder::Tree;
use crate::builder::limits::MAX_OUTPUT;
use crate::cli::args::RegistryArgs;
use crate::cli::input::bundle::{Bundle, bundle};
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::manifest::render::refuse_kustomizations;
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Proof;
use crate::oci::{
    Access, Artifact, ArtifactReference, Form, OciError, Registry, Repository, Resolved, Selection,
};
use crate::reconcile::error::RunFailure;
use crate::reconcile::trust::evidence::{VerifyTarget, verify_artifact};

/// The artifact of a URL, resolved once: all later steps use the
/// digest.
pub(in crate::cli) struct Located {
    /// The repository.
    pub repository: Repository,
    /// The digest, and the tag where there was one.
    pub resolved: Resolved,
    /// Access to the registry.
    access: Access,
}

/// An artifact, and its location.
pub(in crate::cli) struct Fetched {
    /// Its location.
    pub located: Located,
    /// Its signers, where verification was required.
    pub proof: Option<Proof>,
    /// The decrypted content and the manifest.
    pub artifact: Artifact,
}

/// Resolves a URL; the default tag is `latest`. Warns where the URL has a tag with a digest, and the
/// tag names another one.
///
/// # Errors
/// When the artifact does not exist, or the registry cannot be read.
pub(in crate::cli) async fn locate(
    url: &str,
    reach: &RegistryArgs,
    registry: &Registry,
    printer: &mut Printer<'_>,
) -> Result<Located, CliError> {
    let reference = ArtifactReference::parse(url)?;
    let wanted = reference.wanted()?;
    let repository = reference.repository;
    let access = login::access(reach, &repository).await?;
    let resolved = registry.resolve(&repository, &wanted, &access).await?;
    if let (Some(stray), Some(tag)) = (&resolved.stray, &resolved.tag) {
        printer.say(format!("warning: {}, and the digest in the URL is used", stray.describe(tag)));
    }
    Ok(Located { repository, resolved, access })
}

/// Fetches the artifact of a URL; first verifies its signature if signers are given.
///
/// # Errors
/// When it cannot be fetched, is not signed, is not an artifact, is encrypted and no key
/// fits, or cannot be built.
pub(in crate::cli) async fn artifact(
    url: &str,
    reach: &RegistryArgs,
    reading: ArtifactReading<'_>,
    signers: Option<&Policy>,
    registry: &Registry,
    printer: &mut Printer<'_>,
) -> Result<Fetched, CliError> {
    let keys = reading.keys;
    let identities = login::identities(keys)?;
    let located = locate(url, reach, registry, printer).await?;
    let proof = match signers {
        Some(policy) => Some(located.verify(registry, policy).await?),
        None => None,
    };
    let selection = Selection { identities, all_layers: keys.all_layers(), ..Selection::default() };
    located.fetch(proof, selection, registry, reading).await
}

impl Located {
    /// `host/repository@digest`.
    pub fn name(&self) -> String {
        self.repository.at(&self.resolved.digest)
    }

    /// Who has signed it.
    ///
    /// # Errors
    /// When a required signature is missing, or the registry cannot be read.
    pub async fn verify(&self, registry: &Registry, policy: &Policy) -> Result<Proof, CliError> {
        let Self { repository, resolved, access } = self;
        let target = VerifyTarget { repository, digest: &resolved.digest, access };
        let proofs =
            verify_artifact(registry, target, std::slice::from_ref(policy)).await.map_err(refused)?;
        let none = || CliError::Failed(format!("{} is not verified", self.name()));
        proofs.into_iter().next().ok_or_else(none)
    }

    /// Its content.
    ///
    /// # Errors
    /// When it cannot be fetched, is not an artifact, is encrypted and no key fits, or
    /// cannot be built.
    pub async fn fetch(
        self,
        proof: Option<Proof>,
        selection: Selection,
        registry: &Registry,
        reading: ArtifactReading<'_>,
    ) -> Result<Fetched, CliError> {
        let Self { repository, resolved, access } = &self;
        let mut artifact = registry.fetch(repository, &resolved.digest, access, &selection).await?;
        if artifact.files.iter().any(|(name, _)| name.ends_with(".age")) {
            return Err(OciError::Encrypted { subject: self.name() }.into());
        }
        let refused = |e: &dyn std::fmt::Display| CliError::Input(format!("{}: {e}", self.name()));
        let builder = reading.keys.programs.builder();
        match std::mem::take(&mut artifact.form) {
            Form::Manifests => {}
            Form::Kustomization { directory } => {
                let tree = Tree { files: std::mem::take(&mut artifact.files), directory };
                let built = builder.build("", tree, MAX_OUTPUT).await.map_err(|e| refused(&e))?;
                artifact.files = vec![("kustomize-build.yaml".to_owned(), built.manifests)];
            }
            Form::Chart => {
                let files = std::mem::take(&mut artifact.files);
                let rendered = chart::render(files, resolved.digest.as_str(), &reading, &builder).await;
                artifact.files = vec![(chart::RENDERED.to_owned(), rendered.map_err(|e| refused(&e))?)];
            }
        }
        let other = refuse_kustomizations(artifact.files.iter().map(|(name, _)| name.as_str()));
        other.map_err(|e| refused(&e))?;
        Ok(Fetched { located: self, proof, artifact })
    }
}

/// Why something was not verified, for a person.
pub(in crate::cli) fn refused(failure: Box<RunFailure>) -> CliError {
    CliError::Failed(failure.message)
}

impl Fetched {
    /// `host/repository@digest`.
    pub fn name(&self) -> String {
        self.located.name()
    }

    /// The files with manifests, under names for messages.
    pub fn files(&self, url: &str) -> Vec<(String, Vec<u8>)> {
        let is_manifest = |name: &str| {
            matches!(name.rsplit_once('.').map(|(_, extension)| extension), Some("yaml" | "yml" | "json"))
        };
        let files = self.artifact.files.iter().filter(|(name, _)| is_manifest(name));
        files.map(|(name, bytes)| (format!("{url}: {name}"), bytes.to_vec())).collect()
    }

    /// Its objects, in the order of the apply.
    ///
    /// # Errors
    /// All faults of its manifests.
    pub fn bundle(&self, url: &str) -> Result<Bundle, CliError> {
        bundle(&self.files(url))
    }
}
