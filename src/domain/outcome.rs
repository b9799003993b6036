//! What a run came to. The status, the events and the schedule follow from it
//! alone, so that each has one writer.

use super::objects::identity::ObjectId;
use crate::api::reason::Reason;
use crate::api::status::{ArtifactStatus, Changes, VerifiedBy, VerifiedImage};

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// The artifact that was attempted, once it is known.
    pub artifact: Option<ArtifactStatus>,
    /// What was written; `None` when nothing was.
    pub changes: Option<Changes>,
    /// The objects that failed, all of them.
    pub failures: Vec<ObjectFailure>,
    /// What a person should know that is no failure: objects dropped from the
    /// inventory, an inventory taken over.
    pub notes: Vec<Note>,
    /// How many objects the inventory names now; `None` when it was not looked at.
    pub entries: Option<usize>,
    /// Whether the artifact is signed by whom it should be; `None` when that was
    /// not looked at.
    pub verified: Option<Assessment>,
    /// Whose signatures counted; `None` when that was not looked at.
    pub signers: Option<Vec<VerifiedBy>>,
    /// The container images that were verified; `None` when that was not looked
    /// at.
    pub images: Option<Vec<VerifiedImage>>,
    /// Health, where `wait` asks for it.
    pub health: Option<Assessment>,
    /// Drift, where it is looked at.
    pub drift: Option<Assessment>,
    /// Whether the whole revision is applied.
    pub applied: bool,
    /// Whether the run brought a revision, and not only put back what had changed
    /// since.
    pub rollout: bool,
    /// What keeps the registry from giving what the spec asks for.
    pub fetch_failed: Option<Assessment>,
    /// The verdict's message without the failures that follow it there; where
    /// there is room for a list of them.
    pub headline: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// All is as the spec wants it. The message says what is applied, and what
    /// keeps the operator from looking further, if anything does.
    Ready {
        /// For the Ready condition.
        message: String,
    },
    /// It is not.
    Failed {
        /// Why.
        reason: Reason,
        /// For the Ready condition: what failed, on what, what to do.
        message: String,
    },
    /// Something has to come first, which ends the wait by itself. That is no failure.
    Waiting {
        /// What for.
        reason: Reason,
        /// For the Ready condition: what is waited for, and what can be done about it.
        message: String,
    },
    /// The release is suspended.
    Suspended,
    /// Only objects of the applied revision were looked at, and what the run before
    /// said of a newer one holds on.
    AsBefore,
    /// A newer spec or revision cut the run short; another one follows at once.
    #[default]
    Superseded,
}

impl Verdict {
    /// Whether the run says nothing new of the release.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::AsBefore | Self::Superseded)
    }
}

/// A condition beside Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// Its status; `None` is Unknown.
    pub status: Option<bool>,
    /// Its reason.
    pub reason: Reason,
    /// Its message.
    pub message: String,
}

/// An object that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFailure {
    /// Which.
    pub id: ObjectId,
    /// Why.
    pub reason: Reason,
    /// What happened.
    pub message: String,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub reason: Reason,
    /// What.
    pub message: String,
}

impl Outcome {
    /// A run that failed as a whole.
    pub fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed { reason, message: message.into() }, ..Self::default() }
    }

    /// Why it failed or waits, if it does.
    pub fn reason(&self) -> Option<Reason> {
        match &self.verdict {
            Verdict::Failed { reason, .. } | Verdict::Waiting { reason, .. } => Some(*reason),
            Verdict::Ready { .. } | Verdict::Suspended | Verdict::AsBefore | Verdict::Superseded => None,
        }
    }
}
