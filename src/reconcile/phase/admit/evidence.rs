//! From a digest to proof of who has signed it: evidence from the registry,
//! judged by policies. And what may be made of that: content reaches the cluster
//! only as [`Admitted`], which comes from here alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::api::reason::Reason;
use crate::api::status::VerifiedBy;
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::verify::evidence::Evidence;
use crate::domain::verify::judge::{Subject, judge};
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::{Proof, Refusal};
use crate::oci::{Access, Artifact, Digest, Registry, Repository, Room};
use crate::reconcile::phase::admit::pin::{ImageDemand, Pinned};
use crate::reconcile::source::access::{Failure, chain, failure};

/// The most digests whose signatures are judged at a time; each may take a core.
pub const MAX_JUDGING: usize = 2;
/// Their places, in the whole process.
static JUDGING: Semaphore = Semaphore::const_new(MAX_JUDGING);
/// The most signers that the status names.
const MAX_SIGNERS: usize = 16;

/// What is to be verified.
#[derive(Clone, Copy)]
pub struct Target<'a> {
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
    target: Target<'_>,
    policies: &[Policy],
) -> Result<Vec<Proof>, Failure> {
    let Target { repository, digest, access } = target;
    let evidence = registry.evidence(repository, digest, access).await;
    let evidence = evidence.map_err(|e| failure(e.reason(), chain(&e)))?;
    let setback = evidence.setback.clone();
    let judged = judged(repository, digest, policies.to_vec(), evidence).await;
    judged.map_err(|failed| match (setback, &failed.verdict) {
        // The signature that is missed may be the one that could not be read.
        (Some((reason, why)), Verdict::Failed { message, .. }) => {
            failure(reason, format!("not every signature could be read: {why}. Of the others: {message}"))
        }
        _ => failed,
    })
}

/// Judges off the async workers, and not for everybody at once: what a registry
/// keeps beside a digest may be many signatures, each checked with many keys.
async fn judged(
    repository: &Repository,
    digest: &Digest,
    policies: Vec<Policy>,
    evidence: Evidence,
) -> Result<Vec<Proof>, Failure> {
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

/// A digest that may be acted on: every policy that was demanded is satisfied.
/// The fields are nobody else's, so that this room is the only one that makes it.
#[derive(Clone, Debug)]
pub struct Admission {
    digest: Digest,
    told: Assessment,
    signers: Vec<VerifiedBy>,
    images: Option<Arc<ImageDemand>>,
}

/// Content that may become objects.
#[derive(Clone, Debug)]
pub struct Admitted {
    files: Vec<(String, Bytes)>,
    room: Room,
    images: Option<Arc<ImageDemand>>,
}

impl Admission {
    /// One that nobody wants verified. `why` says so, for the status.
    pub fn unasked(digest: &Digest, why: &str) -> Self {
        let told = Assessment { status: None, reason: Reason::NotVerified, message: why.to_owned() };
        Self { digest: digest.clone(), told, signers: Vec::new(), images: None }
    }

    /// Asks for the evidence and judges it.
    ///
    /// # Errors
    /// As [`verify`].
    pub async fn earn(
        registry: &Registry,
        target: Target<'_>,
        policies: &[Policy],
        images: Option<Arc<ImageDemand>>,
    ) -> Result<Self, Failure> {
        let proofs = verify(registry, target, policies).await?;
        Ok(Self { images, ..Self::proven(target.digest, policies, &proofs) })
    }

    fn proven(digest: &Digest, policies: &[Policy], proofs: &[Proof]) -> Self {
        let mut signers: Vec<VerifiedBy> = Vec::new();
        let mut names = BTreeSet::new();
        for (policy, proof) in policies.iter().zip(proofs) {
            for signature in proof.signatures() {
                names.insert(signature.signer.to_string());
                let shown = signature.shown(policy.authorities.len() > 1);
                if !signers.contains(&shown) && signers.len() < MAX_SIGNERS {
                    signers.push(shown);
                }
            }
        }
        let names: Vec<String> = names.into_iter().collect();
        let origins: Vec<&str> = policies.iter().map(|p| p.origin.as_str()).collect();
        let message = format!("signed by {}, as {} wants it", names.join(" and "), origins.join(" and "));
        let told = Assessment { status: Some(true), reason: Reason::Verified, message };
        Self { digest: digest.clone(), told, signers, images: None }
    }

    /// Lets its content in, and no other.
    ///
    /// # Errors
    /// When it is the content of another digest.
    pub fn admit(&self, artifact: Artifact) -> Result<Admitted, Failure> {
        if artifact.digest != self.digest {
            let message = format!("{} was verified, and {} was pulled", self.digest, artifact.digest);
            return Err(failure(Reason::DigestMismatch, message));
        }
        Ok(Admitted { files: artifact.files, room: artifact.room, images: self.images.clone() })
    }

    /// Puts into the outcome who has signed, the container images too as far as
    /// that is known.
    pub fn tell(&self, pinned: Option<&Pinned>, outcome: &mut Outcome) {
        outcome.signers = Some(self.signers.clone());
        if outcome.verified.is_none() {
            outcome.verified = Some(self.told.clone());
            match (&self.images, pinned) {
                (None, _) => outcome.images = Some(Vec::new()),
                (Some(_), Some(pinned)) => pinned.tell(outcome),
                (Some(_), None) => {}
            }
        }
    }

    /// Which container images have to be signed, too.
    pub fn images(&self) -> Option<&ImageDemand> {
        self.images.as_deref()
    }
}

impl Admitted {
    /// What a person has handed over at the command line, with that person's own
    /// rights: trust in it is theirs.
    pub fn by_hand(files: Vec<(String, Bytes)>) -> Self {
        Self { files, room: Room::default(), images: None }
    }

    /// Which of its container images have to be signed.
    pub fn images(&self) -> Option<&ImageDemand> {
        self.images.as_deref()
    }

    /// Files by their names.
    pub fn files(&self) -> &[(String, Bytes)] {
        &self.files
    }

    /// What it may come to in memory.
    pub fn room(&self) -> &Room {
        &self.room
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
        assert_eq!(failed.reason(), Some(Reason::SignatureMissing));
    }
}
