//! What may be made of proof: content reaches the cluster only as [`Admitted`], which
//! comes from here alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::evidence::{VerifyTarget, verify};
use super::pinned::{ImageDemand, Pinned};
use crate::api::reason::Reason;
use crate::api::status::VerifiedBy;
use crate::domain::outcome::{Assessment, Outcome};
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Proof;
use crate::oci::{Artifact, Digest, Registry, Room};
use crate::reconcile::error::{RunFailure, failure};

/// The most signers that the status names.
const MAX_SIGNERS: usize = 16;

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
    pub(in crate::reconcile) fn unasked(digest: &Digest, why: &str) -> Self {
        let told = Assessment { status: None, reason: Reason::NotVerified, message: why.to_owned() };
        Self { digest: digest.clone(), told, signers: Vec::new(), images: None }
    }

    /// Asks for the evidence and judges it.
    ///
    /// # Errors
    /// As [`verify`].
    pub(in crate::reconcile) async fn verified(
        registry: &Registry,
        target: VerifyTarget<'_>,
        policies: &[Policy],
        images: Option<Arc<ImageDemand>>,
    ) -> Result<Self, Box<RunFailure>> {
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
    pub(in crate::reconcile) fn admit(&self, artifact: Artifact) -> Result<Admitted, Box<RunFailure>> {
        if artifact.digest != self.digest {
            let message = format!("{} was verified, and {} was pulled", self.digest, artifact.digest);
            return Err(failure(Reason::DigestMismatch, message));
        }
        Ok(Admitted { files: artifact.files, room: artifact.room, images: self.images.clone() })
    }

    /// Puts into the outcome who has signed, the container images too as far as
    /// that is known.
    pub(in crate::reconcile) fn tell(&self, pinned: Option<&Pinned>, outcome: &mut Outcome) {
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
    pub(in crate::reconcile) fn from_command_line(files: Vec<(String, Bytes)>) -> Self {
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
