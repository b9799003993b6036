//! From a digest to proof of its signers: evidence from the registry, judged by policies.

use futures::FutureExt;
use tokio::sync::Semaphore;

use crate::api::reason::Reason;
use crate::domain::verify::evidence::Evidence;
use crate::domain::verify::judge::{Subject, judge};
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::{Proof, Refusal};
use crate::oci::{Access, Digest, Registry, Repository};
use crate::reconcile::error::{RunFailure, chain, failure};

/// The maximum number of digests whose signatures are checked at once; each may take a core.
pub const MAX_JUDGING: usize = 2;
/// The slots for that, in the whole process.
static JUDGING: Semaphore = Semaphore::const_new(MAX_JUDGING);

/// The target of a verification.
#[derive(Clone, Copy)]
pub struct VerifyTarget<'a> {
    /// Its repository.
    pub repository: &'a Repository,
    /// Its digest.
    pub digest: &'a Digest,
    /// Access to the registry.
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
        // The missing signature may be the one that could not be read.
        Some((reason, why)) => {
            failure(reason, format!("cannot read all signatures: {why}. From the others: {}", failed.message))
        }
        None => failed,
    })
}

/// The same for an artifact. Where it has no signature, and is an image index, the message says which
/// digest has to be signed.
///
/// # Errors
/// As for [`verify`].
pub async fn verify_artifact(
    registry: &Registry,
    target: VerifyTarget<'_>,
    policies: &[Policy],
) -> Result<Vec<Proof>, Box<RunFailure>> {
    let mut failed = match verify(registry, target, policies).boxed().await {
        Err(failed) if failed.reason == Reason::SignatureMissing => failed,
        judged => return judged,
    };
    let VerifyTarget { repository, digest, access } = target;
    if registry.is_index(repository, digest, access).boxed().await {
        failed
            .message
            .push_str(" It is an image index: signatures of its manifests do not count, sign the index.");
    }
    Err(failed)
}

/// Judges on blocking threads, a limited number at once: a registry may have many signatures for a
/// digest, each checked with many keys.
async fn judged(
    repository: &Repository,
    digest: &Digest,
    policies: Vec<Policy>,
    evidence: Evidence,
) -> Result<Vec<Proof>, Box<RunFailure>> {
    let (name, digest) = (repository.to_string(), digest.clone());
    let place = JUDGING.acquire().await;
    let judged = tokio::task::spawn_blocking(move || {
        // Released at the end of the work, also if the caller is gone.
        let _place = place;
        let subject = Subject { repository: &name, digest: digest.as_str() };
        policies.iter().map(|policy| judge(policy, subject, &evidence)).collect::<Result<_, _>>()
    });
    match judged.await {
        Ok(judged) => judged.map_err(|refusal: Refusal| failure(refusal.reason, refusal.message)),
        Err(_) => {
            let message = format!("cannot check the signatures of {repository}: the task ended");
            Err(failure(Reason::SignatureInvalid, message))
        }
    }
}

#[cfg(test)]
mod tests {
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
