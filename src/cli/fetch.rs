//! An artifact as a command wants it: by its URL, in clear, and as objects.

use super::args::{IdentityArgs, RegistryArgs};
use super::bundle::{Bundle, bundle};
use super::{CliError, login};
use crate::domain::manifest::render::refuse_kustomizations;
use crate::oci::{Artifact, OciError, Reference, Registry, Repository, Resolved, Selection};

/// An artifact, and what its URL stood for.
pub(super) struct Fetched {
    /// The repository.
    pub repository: Repository,
    /// The digest, and the tag where there was one.
    pub resolved: Resolved,
    /// The content, verified and decrypted.
    pub artifact: Artifact,
}

/// Fetches what the URL names; the tag is `latest` unless given.
///
/// # Errors
/// When it cannot be had, is no artifact, is encrypted and no key fits, or was
/// pushed before it was built.
pub(super) async fn artifact(
    url: &str,
    reach: &RegistryArgs,
    keys: &IdentityArgs,
    registry: &Registry,
) -> Result<Fetched, CliError> {
    let Reference { repository, .. } = Reference::parse(url)?;
    let wanted = Reference::parse(url)?.wanted()?;
    let selection = Selection { identities: login::identities(keys)?, ..Selection::default() };
    let access = login::access(reach, &repository).await?;
    let resolved = registry.resolve(&repository, &wanted, &access).await?;
    let artifact = registry.fetch(&repository, &resolved.digest, &access, &selection).await?;
    if artifact.files.iter().any(|(name, _)| name.ends_with(".age")) {
        return Err(OciError::Encrypted { subject: repository.at(&resolved.digest) }.into());
    }
    let built = refuse_kustomizations(artifact.files.iter().map(|(name, _)| name.as_str()));
    built.map_err(|e| CliError::Input(format!("{}: {e}", repository.at(&resolved.digest))))?;
    Ok(Fetched { repository, resolved, artifact })
}

impl Fetched {
    /// `host/repository@digest`.
    pub fn name(&self) -> String {
        self.repository.at(&self.resolved.digest)
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
