//! The search, or the last results where the registry is unavailable.

use super::memory;
use super::search::Search;
use crate::api::reason::Reason;
use crate::domain::verify::evidence::Evidence;
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::reference::{Digest, Repository};
use crate::oci::registry::Registry;

impl Registry {
    /// Everything that may be a signature of the digest: cosign's tag `sha256-….sig`, and
    /// the referrers of the digest (distribution specification 1.1, by its API or by the
    /// tag of its fallback).
    ///
    /// When the registry is unavailable, the last results of this access.
    ///
    /// # Guarantees
    ///
    /// What exists and could not be read, because of a limit or a failure, is listed in
    /// [`Evidence::skipped`]; where a retry may help, in [`Evidence::setback`] too. Small ones
    /// come first, so that a few large ones do not displace those of the usual size.
    ///
    /// # Errors
    /// When the registry does not answer, or denies access: a failed search does not mean that
    /// there are no signatures. When there are no signatures, and no such digest either.
    ///
    /// # Caveats
    ///
    /// Large evidence is read for a few digests at a time, and the others wait. Results without a
    /// setback are kept on disk, for this access alone.
    pub async fn evidence(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Evidence, OciError> {
        let search = Search { registry: self, repository, digest, access };
        let cache = &self.0.cache;
        match search.run().await {
            Ok((mut evidence, _place)) => {
                let away = matches!(evidence.setback, Some((Reason::RegistryUnavailable, _)));
                if away && let Some(kept) = cache.recall(access, repository, digest).await {
                    // What could not be read now may be among the last results. A refusal
                    // of the registry is final.
                    let kept = memory::read(&kept).unwrap_or_default().found.into_iter();
                    let new: Vec<_> = kept.filter(|kept| !evidence.found.contains(kept)).collect();
                    evidence.found.extend(new);
                }
                if evidence == Evidence::default() && !cache.is_proved(access, repository, digest) {
                    // What does not exist is not reported as unsigned.
                    self.prove(repository, digest, access).await?;
                }
                if let Some(bytes) = memory::write(&evidence).filter(|_| evidence.setback.is_none()) {
                    cache.remember(access, repository, digest, bytes).await;
                }
                Ok(evidence)
            }
            // Only for a registry without an answer: a refusal is final.
            Err(error @ OciError::Unavailable { .. }) => {
                let kept = cache.recall(access, repository, digest).await;
                let mut evidence =
                    kept.and_then(|bytes| memory::read(&bytes)).ok_or_else(|| error.clone())?;
                evidence.skipped.push(format!("{error}; using the signatures found before"));
                Ok(evidence)
            }
            Err(error) => Err(error),
        }
    }
}
