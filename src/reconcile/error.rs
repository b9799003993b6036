//! What ends a run early.

use crate::api::keys;
use crate::api::reason::{Disposition, Reason};
use crate::api::status::ArtifactStatus;
use crate::cluster::error::ApiError;
use crate::cluster::inventory::StoreError;
use crate::domain::gate::{Blocker, Decision, WakeOn};
use crate::domain::identity::ObjectId;
pub use crate::domain::message::chain;
use crate::domain::object::Object;
use crate::domain::outcome::{Assessment, ObjectFailure, Outcome, Verdict};
use crate::domain::preflight::shortened;
use crate::oci::{Denial, OciError, Outage};

/// What ends a run early.
#[derive(Clone, Debug)]
pub enum ReconcileError {
    /// The run failed.
    Failed(Box<RunFailure>),
    /// Something else has to happen first. This is not a failure.
    Waiting(Blocker, WakeOn),
    /// Something newer is wanted, drift is more urgent, or the process ends: another run follows.
    /// The headline says how far the run came, for a person.
    Superseded(Option<String>),
    /// Another client has changed the inventory: the run restarts after reading it again.
    InventoryConflict,
}

/// A failure: the reason, and what the outcome reports.
#[derive(Clone, Debug)]
pub struct RunFailure {
    /// How it is handled.
    pub reason: Reason,
    /// What failed, on which object, and what to do.
    pub message: String,
    /// The message without the list of failures.
    pub headline: Option<String>,
    /// The objects that failed.
    pub objects: Vec<ObjectFailure>,
    /// The attempted artifact, if the outcome does not have it yet.
    pub artifact: Option<ArtifactStatus>,
    /// The Verified condition, if trust is the reason.
    pub verified: Option<Assessment>,
    /// The number of objects in the inventory, if the failure is about them.
    pub entries: Option<usize>,
}

impl RunFailure {
    /// A failure with only reason and message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            headline: None,
            objects: Vec::new(),
            artifact: None,
            verified: None,
            entries: None,
        }
    }
}

/// A failure with its reason and message.
pub fn failure(reason: Reason, message: impl Into<String>) -> Box<RunFailure> {
    Box::new(RunFailure::new(reason, message))
}

/// One failure for many objects: a message with the first few, the rest in the list.
pub fn aggregate(reason: Reason, what: &str, failures: Vec<ObjectFailure>) -> ReconcileError {
    ReconcileError::Failed(Blocker::about(reason, what, failures).into())
}

/// The failure of a cluster that does not answer: it is not about its objects.
pub fn unreachable(failures: &[ObjectFailure]) -> Option<ReconcileError> {
    let away = failures.iter().find(|failed| failed.reason == Reason::ClusterUnreachable)?;
    Some(failure(away.reason, away.message.clone()).into())
}

/// The shown part of an answer about an object: the API server may quote values of a rejected
/// Secret.
pub fn masked(id: &ObjectId, message: &str) -> String {
    match id.is("", "Secret") {
        true => "the API server rejects it (message hidden: it may contain Secret values)".into(),
        false => shortened(message),
    }
}

/// The same for an object that is applied: for any kind, its annotation may name fields whose
/// values are not shown.
pub fn masked_in(object: &Object, message: &str) -> String {
    match object.annotation(keys::SENSITIVE_PATHS) {
        Some(_) => "the API server rejects it (message hidden: it may contain sensitive values)".into(),
        None => masked(&object.id(), message),
    }
}

/// An error of the release's own registry with everything that caused it, and the field of the
/// spec that cures it where there is one. Not for the registries of images: the fields are not
/// about them.
pub fn with_cure(error: &OciError) -> String {
    let text = chain(error);
    match cure(error) {
        Some(cure) => format!("{text}; {cure}"),
        None => text,
    }
}

fn cure(error: &OciError) -> Option<&'static str> {
    match error.root() {
        OciError::Denied { why: Denial::NoCredentials, .. } => {
            Some("set spec.secretRef to a Secret with credentials, or spec.provider")
        }
        OciError::Unavailable { why: Outage::PlainHttp, .. } => Some("set spec.insecure: true"),
        OciError::Unavailable { why: Outage::UnknownAuthority, .. } => {
            Some("if you trust it, set spec.certSecretRef to a Secret with its ca.crt")
        }
        _ => None,
    }
}

impl ReconcileError {
    /// Something newer is wanted, or the process ends.
    pub const SUPERSEDED: Self = Self::Superseded(None);

    /// The result of a gate.
    ///
    /// # Errors
    /// Why the run does not continue.
    pub fn from_gate(decision: Decision) -> Result<(), Self> {
        match decision {
            Decision::Pass => Ok(()),
            Decision::Wait(blocker, wake_on) => Err(Self::Waiting(blocker, wake_on)),
            Decision::Refuse(blocker) => Err(Self::Failed(blocker.into())),
        }
    }

    /// Adds to the message of a failure.
    #[must_use]
    pub fn with_note(mut self, note: &str) -> Self {
        if let Self::Failed(failure) = &mut self {
            failure.message = format!("{}; {note}", failure.message);
        }
        self
    }

    /// Adds the fetched artifact and the number of entries in the inventory.
    #[must_use]
    pub fn about(mut self, artifact: ArtifactStatus, entries: usize) -> Self {
        if let Self::Failed(failure) = &mut self {
            failure.artifact.get_or_insert(artifact);
            failure.entries.get_or_insert(entries);
        }
        self
    }

    /// Why it failed or waits, if it does.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Failed(failure) => Some(failure.reason),
            Self::Waiting(blocker, _) => Some(blocker.reason),
            Self::Superseded(_) | Self::InventoryConflict => None,
        }
    }

    /// The message, if it fails or waits.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Failed(failure) => Some(&failure.message),
            Self::Waiting(blocker, _) => Some(&blocker.message),
            Self::Superseded(_) | Self::InventoryConflict => None,
        }
    }

    /// How it is handled. What has not failed is tried again.
    pub fn disposition(&self) -> Disposition {
        self.reason().map_or(Disposition::Retry, Reason::disposition)
    }

    /// Adds it to the outcome of the run, along with what the run has done before.
    ///
    /// # Errors
    /// An inventory conflict: that is not an outcome, since the run restarts.
    pub fn fold_into(self, outcome: &mut Outcome) -> Result<(), Self> {
        match self {
            Self::InventoryConflict => return Err(Self::InventoryConflict),
            Self::Waiting(blocker, _) if blocker.reason == Reason::Suspended => {
                outcome.verdict = Verdict::Suspended
            }
            Self::Waiting(blocker, _) => {
                let Blocker { reason, message, headline, objects } = blocker;
                (outcome.verdict, outcome.headline) = (Verdict::Waiting { reason, message }, headline);
                outcome.failures = objects;
            }
            Self::Superseded(headline) => {
                (outcome.verdict, outcome.headline) = (Verdict::Superseded, headline);
            }
            Self::Failed(failure) => {
                let RunFailure { reason, message, headline, objects, artifact, verified, entries } = *failure;
                (outcome.verdict, outcome.headline) = (Verdict::Failed { reason, message }, headline);
                if outcome.failures.is_empty() {
                    outcome.failures = objects;
                }
                outcome.artifact = outcome.artifact.take().or(artifact);
                outcome.entries = entries.or(outcome.entries);
                if verified.is_some() {
                    (outcome.verified, outcome.signers) = (verified, Some(Vec::new()));
                }
            }
        }
        Ok(())
    }
}

impl From<Box<RunFailure>> for ReconcileError {
    fn from(failure: Box<RunFailure>) -> Self {
        Self::Failed(failure)
    }
}

impl From<Blocker> for Box<RunFailure> {
    fn from(blocker: Blocker) -> Self {
        let Blocker { reason, message, headline, objects } = blocker;
        Self::new(RunFailure { headline, objects, ..RunFailure::new(reason, message) })
    }
}

impl From<Blocker> for ReconcileError {
    fn from(blocker: Blocker) -> Self {
        Self::Failed(blocker.into())
    }
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Changed { .. } => Self::InventoryConflict,
            other => failure(other.reason(), chain(&other)).into(),
        }
    }
}

impl From<ApiError> for ReconcileError {
    fn from(error: ApiError) -> Self {
        failure(error.reason(), chain(&error)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_reported_along_with_what_was_done() {
        let artifact =
            |revision: &str| ArtifactStatus { revision: revision.to_owned(), ..Default::default() };
        let mut failed = RunFailure::new(Reason::ApplyFailed, "no");
        failed.artifact = Some(artifact("b"));
        let mut outcome = Outcome { artifact: Some(artifact("a")), entries: Some(3), ..Outcome::default() };
        assert!(ReconcileError::Failed(Box::new(failed.clone())).fold_into(&mut outcome).is_ok());
        let revision = |outcome: &Outcome| outcome.artifact.as_ref().map(|a| a.revision.clone());
        assert_eq!((outcome.reason(), revision(&outcome)), (Some(Reason::ApplyFailed), Some("a".to_owned())));
        assert_eq!((outcome.entries, &outcome.signers), (Some(3), &None));
        let mut fresh = Outcome::default();
        assert!(ReconcileError::Failed(Box::new(failed)).fold_into(&mut fresh).is_ok());
        assert_eq!(revision(&fresh), Some("b".to_owned()));
        assert!(ReconcileError::InventoryConflict.fold_into(&mut fresh).is_err(), "that is no outcome");
        assert!(ReconcileError::SUPERSEDED.fold_into(&mut fresh).is_ok());
        assert_eq!(fresh.verdict, Verdict::Superseded);
    }

    #[test]
    fn a_registry_error_ends_with_the_field_that_cures_it() {
        let check = |why: Outage, expected: &str| {
            let error = OciError::Unavailable { host: "r.example".to_owned(), why };
            assert_eq!(with_cure(&error), expected);
        };
        check(Outage::PlainHttp, "registry r.example speaks plain HTTP; set spec.insecure: true");
        check(
            Outage::UnknownAuthority,
            "registry r.example is unavailable: cannot connect: certificate signed by unknown authority; \
             if you trust it, set spec.certSecretRef to a Secret with its ca.crt",
        );
        check("no answer in time".into(), "registry r.example is unavailable: no answer in time");
    }

    #[test]
    fn what_follows_is_the_reasons() {
        let check = |error: ReconcileError, expected| assert_eq!(error.disposition(), expected);
        check(failure(Reason::ArtifactEmpty, "").into(), Disposition::Stalled);
        check(failure(Reason::JobRunning, "").into(), Disposition::Wait);
        check(ReconcileError::SUPERSEDED, Disposition::Retry);
    }
}
