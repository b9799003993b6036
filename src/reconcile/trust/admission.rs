//! Content reaches the cluster only as [`Admitted`], which is made only here.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::evidence::{VerifyTarget, verify_artifact};
use super::pinned::{ImageDemand, Pinned};
use crate::api::reason::Reason;
use crate::api::status::VerifiedBy;
use crate::builder::BuildOutput;
use crate::domain::manifest::chart::ClusterCapabilities;
use crate::domain::outcome::{Assessment, Outcome};
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Proof;
use crate::oci::{Artifact, Digest, Form, Registry, Room};
use crate::reconcile::error::{RunFailure, failure};

/// The maximum number of signers in the status.
const MAX_SIGNERS: usize = 16;

/// An admitted digest: every required policy is satisfied. The fields are private, so that only
/// this module can make it.
#[derive(Clone, Debug)]
pub struct Admission {
    digest: Digest,
    assessment: Assessment,
    signers: Vec<VerifiedBy>,
    signed_at: Option<Timestamp>,
    images: Option<Arc<ImageDemand>>,
}

/// Content that may become objects.
#[derive(Clone, Debug)]
pub struct Admitted {
    files: Vec<(String, Bytes)>,
    form: Form,
    is_chart: bool,
    capabilities: Option<Arc<ClusterCapabilities>>,
    unused_layers: usize,
    room: Room,
    images: Option<Arc<ImageDemand>>,
    /// The program that has built it, if it was built.
    built: Option<String>,
}

/// Content that has to be built.
#[derive(Debug)]
pub(in crate::reconcile) enum Unbuilt {
    /// All files, and the directory of a kustomization.
    Kustomization(Vec<(String, Bytes)>, String),
    /// All files of a Helm chart.
    Chart(Vec<(String, Bytes)>),
}

impl Admission {
    /// An admission without verification. `why` is for the status.
    pub(in crate::reconcile) fn unasked(digest: &Digest, why: &str) -> Self {
        let assessment = Assessment { status: None, reason: Reason::NotVerified, message: why.to_owned() };
        Self { digest: digest.clone(), assessment, signers: Vec::new(), signed_at: None, images: None }
    }

    /// Reads the evidence and judges it.
    ///
    /// # Errors
    /// As [`verify_artifact`].
    pub(in crate::reconcile) async fn verified(
        registry: &Registry,
        target: VerifyTarget<'_>,
        policies: &[Policy],
        images: Option<Arc<ImageDemand>>,
    ) -> Result<Self, Box<RunFailure>> {
        let proofs = verify_artifact(registry, target, policies).await?;
        Ok(Self { images, ..Self::proven(target.digest, policies, &proofs) })
    }

    fn proven(digest: &Digest, policies: &[Policy], proofs: &[Proof]) -> Self {
        let mut signers: Vec<VerifiedBy> = Vec::new();
        let signatures = proofs.iter().flat_map(Proof::signatures);
        let signed_at = signatures.filter_map(|signature| signature.signed_at).min();
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
        let message = format!("Signed by {} (required by {})", names.join(" and "), origins.join(" and "));
        let assessment = Assessment { status: Some(true), reason: Reason::Verified, message };
        Self { digest: digest.clone(), assessment, signers, signed_at, images: None }
    }

    /// Admits its content, and no other.
    ///
    /// # Errors
    /// When it is the content of another digest.
    pub(in crate::reconcile) fn admit(&self, artifact: Artifact) -> Result<Admitted, Box<RunFailure>> {
        if artifact.digest != self.digest {
            let message = format!("verified digest {}, but pulled {}", self.digest, artifact.digest);
            return Err(failure(Reason::DigestMismatch, message));
        }
        let Artifact { files, form, room, composition, .. } = artifact;
        let is_chart = form == Form::Chart;
        let unused_layers = composition.unused_layers;
        let images = self.images.clone();
        Ok(Admitted { files, form, is_chart, unused_layers, capabilities: None, room, images, built: None })
    }

    /// Adds the signers to the outcome, those of the container images too as far as they are known.
    pub(in crate::reconcile) fn report(&self, pinned: Option<&Pinned>, outcome: &mut Outcome) {
        outcome.signers = Some(self.signers.clone());
        if outcome.verified.is_none() {
            outcome.verified = Some(self.assessment.clone());
            match (&self.images, pinned) {
                (None, _) => outcome.images = Some(Vec::new()),
                (Some(_), Some(pinned)) => pinned.report(outcome),
                (Some(_), None) => {}
            }
        }
    }

    /// The earliest time that a log or a timestamp proves for a signature that counts.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }

    /// The required signatures of container images.
    pub fn images(&self) -> Option<&ImageDemand> {
        self.images.as_deref()
    }
}

impl Admitted {
    /// Manifests from the command line, applied with the person's own rights: no signature is
    /// required.
    pub(in crate::reconcile) fn from_command_line(files: Vec<(String, Bytes)>) -> Self {
        Self {
            files,
            form: Form::Manifests,
            is_chart: false,
            unused_layers: 0,
            capabilities: None,
            room: Room::default(),
            images: None,
            built: None,
        }
    }

    /// The required signatures of its container images.
    pub fn images(&self) -> Option<&ImageDemand> {
        self.images.as_deref()
    }

    /// Whether it is, or was before it was rendered, a Helm chart.
    pub fn is_chart(&self) -> bool {
        self.is_chart
    }

    /// Takes the files out, to build them. Absent for manifests.
    pub(in crate::reconcile) fn take_unbuilt(&mut self) -> Option<Unbuilt> {
        match std::mem::take(&mut self.form) {
            Form::Manifests => None,
            Form::Kustomization { directory } => {
                Some(Unbuilt::Kustomization(std::mem::take(&mut self.files), directory))
            }
            Form::Chart => Some(Unbuilt::Chart(std::mem::take(&mut self.files))),
        }
    }

    /// The output of its build, instead of the files.
    pub(in crate::reconcile) fn set_built(&mut self, name: &str, output: BuildOutput) {
        let BuildOutput { manifests, identity, capabilities, .. } = output;
        self.files = vec![(name.to_owned(), manifests)];
        self.built = Some(identity);
        self.capabilities = capabilities;
    }

    /// The program that has built it, if it was built.
    pub fn built(&self) -> Option<&str> {
        self.built.as_deref()
    }

    /// What its chart was rendered for, as far as the output depends on it.
    pub fn capabilities(&self) -> Option<&Arc<ClusterCapabilities>> {
        self.capabilities.as_ref()
    }

    /// How many layers could have manifests, and are not used because one layer is.
    pub fn unused_layers(&self) -> usize {
        self.unused_layers
    }

    /// Manifests by the names of their files.
    pub fn files(&self) -> &[(String, Bytes)] {
        &self.files
    }

    /// Its memory reservation alone: its files have become objects.
    pub(in crate::reconcile) fn into_room(self) -> Room {
        self.room
    }

    /// Its memory reservation.
    pub fn room(&self) -> &Room {
        &self.room
    }
}
