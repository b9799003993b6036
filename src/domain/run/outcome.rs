//! The outcome of a run. The status, the events and the schedule are computed from it
//! alone, so that each has one writer.

use jiff::Timestamp;

use crate::api::guards::PendingRevision;
use crate::api::plan::PlanStatus;
use crate::api::reason::Reason;
use crate::api::status::{ArtifactStatus, Changes, VerifiedBy, VerifiedImage};
use crate::domain::manifest::substitute::Redaction;
use crate::domain::objects::identity::ObjectId;
use crate::domain::release::dependency::WaitedFor;

/// The outcome of a run.
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
    /// Warnings that are not failures: objects dropped from the inventory, an adopted
    /// inventory.
    pub notes: Vec<Note>,
    /// The API server of the cluster with the objects, as far as the run knows: `Some(None)` is the
    /// operator's own.
    pub cluster: Option<Option<String>>,
    /// How many objects the inventory names now; `None` when it was not read.
    pub entries: Option<usize>,
    /// Whether the artifact has the required signatures; `None` when that was not
    /// checked.
    pub verified: Option<Assessment>,
    /// Whose signatures counted; `None` when that was not checked.
    pub signers: Option<Vec<VerifiedBy>>,
    /// The container images that were verified; `None` when that was not checked.
    pub images: Option<Vec<VerifiedImage>>,
    /// Health, if `wait` is set.
    pub health: Option<Assessment>,
    /// Drift, if it was checked.
    pub drift: Option<Assessment>,
    /// Whether the whole revision is applied.
    pub applied: bool,
    /// Whether the run rolled out a revision, and did not only correct drift.
    pub rollout: bool,
    /// The dependencies that a new revision waits for, or, while the revision is applied, those
    /// that do not exist any more; `None` when that was not checked.
    pub dependencies: Option<Vec<WaitedFor>>,
    /// Whether a new revision waits.
    pub arrival: Arrival,
    /// When the release may continue by time alone.
    pub wake_at: Option<Timestamp>,
    /// The plan that waits for approval, or is being applied; `None` when none was made.
    pub plan: Option<PlanStatus>,
    /// The revision that the registry offers and the release does not follow.
    pub held: Option<String>,
    /// The key of the quarantined revision that the run has gone back from.
    pub way_back: Option<String>,
    /// When the rollout of the revision began.
    pub began: Option<Timestamp>,
    /// Why the registry did not provide the wanted artifact.
    pub fetch_failed: Option<Assessment>,
    /// The verdict's message without the failures, for output that lists them
    /// separately.
    pub headline: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is as the spec wants it. The message says what is applied, and what
    /// prevents a check for updates, if anything does.
    Ready {
        /// For the Ready condition.
        message: String,
    },
    /// The run failed.
    Failed {
        /// Why.
        reason: Reason,
        /// For the Ready condition: what failed, on what, what to do.
        message: String,
    },
    /// The run waits for something that will wake the release. That is not a failure.
    Waiting {
        /// What for.
        reason: Reason,
        /// For the Ready condition: what the run waits for, and what a person can do.
        message: String,
    },
    /// The release is suspended.
    Suspended,
    /// Only objects of the applied revision were checked; the verdict of the previous
    /// run about a newer one remains valid.
    AsBefore,
    /// A newer spec or revision cut the run short; another one follows at once.
    #[default]
    Superseded,
}

impl Verdict {
    /// Whether the run has nothing new to report.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::AsBefore | Self::Superseded)
    }
}

/// What a run has found out about a new revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Arrival {
    /// Nothing: what earlier runs have found remains valid.
    #[default]
    Unasked,
    /// No revision is new, or nothing ever holds one back.
    Settled,
    /// There is one. It waits if it has a reason.
    Pending(PendingRevision),
}

/// A condition other than Ready.
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

/// Something to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub reason: Reason,
    /// What.
    pub message: String,
}

impl Outcome {
    /// A run that failed completely.
    pub fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed { reason, message: message.into() }, ..Self::default() }
    }

    /// Takes values of Secrets out of what others have said, such as pods. If they are not known, all of
    /// that is hidden; not what we say, nor `own`, which says why they are not known.
    pub fn redact(&mut self, redaction: &Redaction, own: Option<&str>) {
        if redaction.is_empty() {
            return;
        }
        let Self {
            verdict,
            failures,
            notes,
            verified,
            health,
            drift,
            fetch_failed,
            headline,
            dependencies,
            ..
        } = self;
        let (reason, verdict) = match verdict {
            Verdict::Ready { message } => (Some(Reason::ReconciliationSucceeded), Some(message)),
            Verdict::Failed { reason, message } | Verdict::Waiting { reason, message } => {
                (Some(*reason), Some(message))
            }
            Verdict::Suspended | Verdict::AsBefore | Verdict::Superseded => (None, None),
        };
        let assessed = [verified, health, drift, fetch_failed].into_iter().flatten();
        let awaited = dependencies.iter_mut().flatten();
        let said = verdict.into_iter().chain(headline).map(|message| (reason, message));
        let said = said.chain(assessed.map(|one| (Some(one.reason), &mut one.message)));
        let said = said.chain(awaited.map(|one| (Some(Reason::DependencyNotReady), &mut one.words)));
        let said = said.chain(failures.iter_mut().map(|one| (Some(one.reason), &mut one.message)));
        let said = said.chain(notes.iter_mut().map(|one| (Some(one.reason), &mut one.message)));
        for (reason, text) in said {
            let is_ours = || reason.is_some_and(Reason::is_in_own_words) || own == Some(text.as_str());
            if !redaction.hides_all() || !is_ours() {
                redaction.redact(text);
            }
        }
    }

    /// Why it failed or waits, if it does.
    pub fn reason(&self) -> Option<Reason> {
        match &self.verdict {
            Verdict::Failed { reason, .. } | Verdict::Waiting { reason, .. } => Some(*reason),
            Verdict::Ready { .. } | Verdict::Suspended | Verdict::AsBefore | Verdict::Superseded => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_say_is_shown_without_the_values_of_secrets() {
        let check = |reason: Reason, own: Option<&str>, is_shown: bool| {
            let message = "said".to_owned();
            let note = Note { reason, message: message.clone() };
            let health = Some(Assessment { status: None, reason, message });
            let mut outcome = Outcome { notes: vec![note], health, ..Outcome::failed(reason, "said") };
            outcome.redact(&Redaction::of_everything(), own);
            let Verdict::Failed { message, .. } = &outcome.verdict else { unreachable!() };
            let assessed = &outcome.health.as_ref().unwrap().message;
            for text in [message, assessed, &outcome.notes[0].message] {
                assert_eq!(text == "said", is_shown, "{reason}: {text}");
            }
        };
        check(Reason::SecretNotFound, None, true);
        check(Reason::ClusterUnreachable, None, true);
        check(Reason::DeletionNotApproved, None, true);
        check(Reason::HealthCheckFailed, None, false);
        check(Reason::ApplyFailed, None, false);
        check(Reason::AccessDenied, None, false);
        check(Reason::AccessDenied, Some("said"), true);
        check(Reason::AccessDenied, Some("something else"), false);
    }

    #[test]
    fn known_values_are_taken_out_of_everything_that_is_said() {
        let redaction = Redaction::default().and(["hunter2".to_owned()]);
        let mut outcome = Outcome::failed(Reason::SecretNotFound, "says hunter2 again");
        outcome.redact(&redaction, Some("says hunter2 again"));
        let message = "says ***** again".to_owned();
        assert_eq!(outcome.verdict, Verdict::Failed { reason: Reason::SecretNotFound, message });
    }
}
