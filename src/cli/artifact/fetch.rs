//! An artifact as a command wants it: by its URL, verified where that is asked
//! for, in clear, and as objects.

use crate::cli::CliError;
use crate::cli::args::{IdentityArgs, RegistryArgs};
use crate::cli::input::bundle::{Bundle, bundle};
use crate::cli::reach::login;
use crate::domain::manifest::render::refuse_kustomizations;
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Proof;
use crate::oci::{Access, Artifact, ArtifactReference, OciError, Registry, Repository, Resolved, Selection};
use crate::reconcile::error::RunFailure;
use crate::reconcile::trust::evidence::{VerifyTarget, verify};

/// What a URL stands for, found out once: whatever is done after goes by the
/// digest.
pub(in crate::cli) struct Located {
    /// The repository.
    pub repository: Repository,
    /// The digest, and the tag where there was one.
    pub resolved: Resolved,
    /// How the registry is reached.
    access: Access,
}

/// An artifact, and what its URL stood for.
pub(in crate::cli) struct Fetched {
    /// Where it is.
    pub located: Located,
    /// Who has signed it, where that was asked for.
    pub proof: Option<Proof>,
    /// The content, decrypted, and what the digest names.
    pub artifact: Artifact,
}

/// Finds what the URL names; the tag is `latest` unless given.
///
/// # Errors
/// When the registry has nothing of that name, or does not say.
pub(in crate::cli) async fn locate(
    url: &str,
    reach: &RegistryArgs,
    registry: &Registry,
) -> Result<Located, CliError> {
    let reference = ArtifactReference::parse(url)?;
    let wanted = reference.wanted()?;
    let repository = reference.repository;
    let access = login::access(reach, &repository).await?;
    let resolved = registry.resolve(&repository, &wanted, &access).await?;
    Ok(Located { repository, resolved, access })
}

/// Fetches what the URL names, once the signers have signed it if there are any.
///
/// # Errors
/// When it cannot be had, is not signed, is no artifact, is encrypted and no key
/// fits, or was pushed before it was built.
pub(in crate::cli) async fn artifact(
    url: &str,
    reach: &RegistryArgs,
    keys: &IdentityArgs,
    signers: Option<&Policy>,
    registry: &Registry,
) -> Result<Fetched, CliError> {
    let identities = login::identities(keys)?;
    let located = locate(url, reach, registry).await?;
    let proof = match signers {
        Some(policy) => Some(located.verify(registry, policy).await?),
        None => None,
    };
    let selection = Selection { identities, ..Selection::default() };
    located.fetch(proof, selection, registry).await
}

impl Located {
    /// `host/repository@digest`.
    pub fn name(&self) -> String {
        self.repository.at(&self.resolved.digest)
    }

    /// Who has signed it.
    ///
    /// # Errors
    /// When not those have who are asked for, or the registry does not say.
    pub async fn verify(&self, registry: &Registry, policy: &Policy) -> Result<Proof, CliError> {
        let Self { repository, resolved, access } = self;
        let target = VerifyTarget { repository, digest: &resolved.digest, access };
        let proofs = verify(registry, target, std::slice::from_ref(policy)).await.map_err(refused)?;
        let none = || CliError::Failed(format!("{} is not verified", self.name()));
        proofs.into_iter().next().ok_or_else(none)
    }

    /// Its content.
    ///
    /// # Errors
    /// When it cannot be had, is no artifact, is encrypted and no key fits, or was
    /// pushed before it was built.
    pub async fn fetch(
        self,
        proof: Option<Proof>,
        selection: Selection,
        registry: &Registry,
    ) -> Result<Fetched, CliError> {
        let Self { repository, resolved, access } = &self;
        let artifact = registry.fetch(repository, &resolved.digest, access, &selection).await?;
        if artifact.files.iter().any(|(name, _)| name.ends_with(".age")) {
            return Err(OciError::Encrypted { subject: self.name() }.into());
        }
        let built = refuse_kustomizations(artifact.files.iter().map(|(name, _)| name.as_str()));
        built.map_err(|e| CliError::Input(format!("{}: {e}", self.name())))?;
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
    /// Everything that is wrong with its manifests.
    pub fn bundle(&self, url: &str) -> Result<Bundle, CliError> {
        bundle(&self.files(url))
    }
}
