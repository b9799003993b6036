//! From a digest to proof of who has signed it: evidence from the registry, judged by
//! policies.

use tokio::sync::Semaphore;

use crate::api::reason::Reason;
use crate::domain::verify::evidence::Evidence;
use crate::domain::verify::judge::{Subject, judge};
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::{Proof, Refusal};
use crate::oci::{Access, Digest, Registry, Repository};
use crate::reconcile::error::{RunFailure, chain, failure};

/// The most digests whose signatures are judged at a time; each may take a core.
pub const MAX_JUDGING: usize = 2;
/// Their places, in the whole process.
static JUDGING: Semaphore = Semaphore::const_new(MAX_JUDGING);

/// What is to be verified.
#[derive(Clone, Copy)]
pub struct VerifyTarget<'a> {
    /// Where it is.
    pub repository: &'a Repository,
    /// What it is.
    pub digest: &'a Digest,
    /// How the registry is reached.
    pub access: &'a Access,
}

/// Proof for each of the policies, in their order.
///
/// # Errors
/// When the registry cannot be asked, or the first policy that is not satisfied.
pub async fn verify(
    registry: &Registry,
    target: VerifyTarget<'_>,
    policies: &[Policy],
) -> Result<Vec<Proof>, Box<RunFailure>> {
    let VerifyTarget { repository, digest, access } = target;
    let evidence = registry.evidence(repository, digest, access).await;
    let evidence = evidence.map_err(|e| failure(e.reason(), chain(&e)))?;
    let setback = evidence.setback.clone();
    let judged = judged(repository, digest, policies.to_vec(), evidence).await;
    judged.map_err(|failed| match setback {
        // The signature that is missed may be the one that could not be read.
        Some((reason, why)) => failure(
            reason,
            format!("not every signature could be read: {why}. Of the others: {}", failed.message),
        ),
        None => failed,
    })
}

/// Judges off the async workers, and not for everybody at once: what a registry
/// keeps for a digest may be many signatures, each checked with many keys.
async fn judged(
    repository: &Repository,
    digest: &Digest,
    policies: Vec<Policy>,
    evidence: Evidence,
) -> Result<Vec<Proof>, Box<RunFailure>> {
    let (name, digest) = (repository.to_string(), digest.clone());
    let place = JUDGING.acquire().await;
    let judged = tokio::task::spawn_blocking(move || {
        // Given back at the end of the work, also if nobody waits for it any more.
        let _place = place;
        let subject = Subject { repository: &name, digest: digest.as_str() };
        policies.iter().map(|policy| judge(policy, subject, &evidence)).collect::<Result<_, _>>()
    });
    match judged.await {
        Ok(judged) => judged.map_err(|refusal: Refusal| failure(refusal.reason, refusal.message)),
        Err(_) => {
            let message = format!("the signatures of {repository} were not judged: the task ended");
            Err(failure(Reason::SignatureInvalid, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn signatures_are_judged_elsewhere_and_not_all_at_once() {
        let repository = Repository::parse("oci://r.io/app").unwrap();
        let digest = Digest::of(b"app");
        let all = JUDGING.acquire_many(u32::try_from(MAX_JUDGING).unwrap()).await.unwrap();
        let policy = Policy {
            origin: "spec.verify".to_owned(),
            authorities: Vec::new(),
            threshold: 1,
            match_reference: false,
        };
        let mut judging = Box::pin(judged(&repository, &digest, vec![policy], Evidence::default()));
        assert!((&mut judging).now_or_never().is_none(), "every place is taken");
        drop(all);
        let failed = judging.await.unwrap_err();
        assert_eq!(failed.reason, Reason::SignatureMissing);
    }
}
