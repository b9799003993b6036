//! The search, or where the registry is away what was found the last time.

use super::memory;
use super::search::Search;
use crate::api::reason::Reason;
use crate::domain::verify::evidence::Evidence;
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::reference::{Digest, Repository};
use crate::oci::registry::Registry;

impl Registry {
    /// Everything beside the digest that may be a signature of it: cosign's tag
    /// `sha256-….sig`, and the referrers of the digest (distribution
    /// specification 1.1, by its API or by the tag of its fallback).
    ///
    /// When the registry is away, what was found the last time, if this access
    /// has found it.
    ///
    /// # Guarantees
    ///
    /// What was there and could not be looked at, for a bound or a failure, is told in
    /// [`Evidence::skipped`]; where that may pass, in [`Evidence::setback`] too. The small come
    /// first, so that a few large ones push out none of the usual size.
    ///
    /// # Errors
    /// When the registry does not answer, or does not let us in: evidence that
    /// could not be looked for is not evidence that there is none. When there is nothing beside the
    /// digest, and no such digest either.
    ///
    /// # Caveats
    ///
    /// Where there is much of it, it is read of a few digests at a time, and the others wait. What
    /// was found without a setback is kept on disk, for this access alone.
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
                    // What could not be read now may be among what was read before. A
                    // registry that refuses is heard.
                    let kept = memory::read(&kept).unwrap_or_default().found.into_iter();
                    let new: Vec<_> = kept.filter(|kept| !evidence.found.contains(kept)).collect();
                    evidence.found.extend(new);
                }
                if evidence == Evidence::default() && !cache.is_proved(access, repository, digest) {
                    // What does not exist is not told to be without a signature.
                    self.prove(repository, digest, access).await?;
                }
                if let Some(bytes) = memory::write(&evidence).filter(|_| evidence.setback.is_none()) {
                    cache.remember(access, repository, digest, bytes).await;
                }
                Ok(evidence)
            }
            // Only for a registry that says nothing: one that refuses is heard.
            Err(error @ OciError::Unavailable { .. }) => {
                let kept = cache.recall(access, repository, digest).await;
                let mut evidence =
                    kept.and_then(|bytes| memory::read(&bytes)).ok_or_else(|| error.clone())?;
                evidence.skipped.push(format!("{error}; this is what was found before"));
                Ok(evidence)
            }
            Err(error) => Err(error),
        }
    }
}
