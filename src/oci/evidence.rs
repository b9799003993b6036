//! What a registry keeps beside a digest that may say who has signed it. Bytes
//! within limits; whether they are believed is not decided here.
//!
//! Three places are asked, always all of them and at once, so that what one of
//! them holds cannot hide what another does: cosign's tag `sha256-….sig`, the
//! referrers API, and the tag `sha256-…` that stands in for it. Nothing is
//! filtered by the artifact type that a registry reports: some report another
//! than the manifest has. Then each referrer costs a request for its manifest,
//! and each payload or bundle one for its bytes, unless they are cached. For one
//! signature that makes four requests in the older form and five as a bundle, of
//! which the second time the first three are left. What was found is kept for the
//! time when the registry is away.

mod gather;
mod listing;
mod memory;
mod referrers;
mod search;
mod simple_signing;

use search::Search;

use super::credentials::Access;
use super::error::OciError;
use super::reference::{Digest, Repository};
use super::registry::Registry;
use crate::api::reason::Reason;
use crate::domain::verify::evidence::Evidence;

impl Registry {
    /// Everything beside the digest that may be a signature of it: cosign's tag
    /// `sha256-….sig`, and the referrers of the digest (distribution
    /// specification 1.1, by its API or by the tag of its fallback).
    ///
    /// When the registry is away, what was found the last time, if this access
    /// has found it.
    ///
    /// # Errors
    /// When the registry does not answer, or does not let us in: evidence that
    /// could not be looked for is not evidence that there is none.
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
