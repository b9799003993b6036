//! Drift of what is applied while a newer revision cannot be had, or is refused: the
//! objects of the one that is there are put back all the same.

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::api::status::condition;
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::release::{Origin, Release};
use crate::observe::metrics::Spent;
use crate::reconcile::driver::{Ended, Revision, Run, Trigger};
use crate::reconcile::phase::work;
use crate::reconcile::source::access;

/// Whether what ended a run says nothing about the revision that is applied: not that
/// it is not trusted or not allowed any more, nor that nothing can be written.
fn leaves_applied(reason: Reason) -> bool {
    !reason.is_distrust()
        && !matches!(
            reason,
            Reason::RegistryNotAllowed | Reason::ServiceAccountNotFound | Reason::ApiServerUnavailable
        )
}

/// What came of putting back.
enum Restored {
    /// Nothing had to be.
    Nothing,
    /// The digests that the images were applied with are not known any more.
    ImagesUnknown,
    /// This.
    Done(Box<Outcome>),
}

impl Run<'_> {
    /// Whether nothing of what is applied may be written for what a run has ended with, or
    /// the last one. That the wanted revision is not trusted holds on while nobody can say
    /// that another is wanted.
    fn is_held(&self, reason: Reason) -> bool {
        let unanswered = matches!(
            reason,
            Reason::Progressing | Reason::RegistryUnavailable | Reason::AuthenticationFailed
        );
        let distrusted = || self.status.condition(condition::VERIFIED).is_some_and(|c| c.status == "False");
        !leaves_applied(reason) || unanswered && distrusted()
    }

    /// The revision that the cluster holds the whole of, where another one is to be
    /// brought and the spec still renders it so.
    pub fn applied_beside(&self) -> Option<Revision> {
        let attempted = self.status.artifact.as_ref().map(|artifact| artifact.digest.as_str());
        // One whose rollout was cut short is gone on with.
        let goes_on = self.memory.rollout.resumed(self.release.generation);
        // What is not wanted any more is not waited for either.
        let unwanted = |revision: &Revision| {
            let complete = self.memory.inventory.applied.is_some();
            !complete && !self.is_wanted(&revision.name, revision.digest.as_str())
        };
        let beside = |revision: &Revision| {
            (attempted != Some(revision.digest.as_str()) || unwanted(revision))
                && goes_on.is_none_or(|other| other.key != revision.key)
        };
        self.whole().filter(beside)
    }

    /// The revision that the cluster holds the whole of, if the spec still renders it so
    /// and what drifts is put back.
    fn whole(&self) -> Option<Revision> {
        if self.release.origin == Origin::CommandLine || self.release.drift != DriftMode::Correct {
            return None;
        }
        let (name, digest) = self.recorded()?;
        let key = self.release.applied_key(digest.as_str());
        let whole = self.memory.inventory.whole() == Some(key.as_str());
        let name = name.to_owned();
        whole.then_some(Revision { name, digest, key, stale: None, held: None })
    }

    /// Puts the applied revision back before anybody asks for a newer one, where only
    /// objects have changed. What the last run said holds on.
    pub async fn restore_first(&mut self) -> Result<Option<Box<Outcome>>, Ended> {
        let ready = self.status.condition(condition::READY);
        let held = ready.and_then(|c| Reason::named(&c.reason)).is_some_and(|reason| self.is_held(reason));
        let (Trigger::Objects, false, Some(applied)) = (self.trigger, held, self.applied_beside()) else {
            return Ok(None);
        };
        let mut outcome = Outcome { verdict: Verdict::AsBefore, ..Outcome::default() };
        match Box::pin(self.restore(&applied)).await {
            Ok(Restored::Done(restored)) => {
                if let Verdict::Failed { reason, message } = &restored.verdict {
                    tracing::warn!(%reason, message, "what is applied could not be put back");
                    return Err(work::superseded());
                }
                (outcome.notes, outcome.drift) = (restored.notes, restored.drift);
            }
            Ok(Restored::Nothing) => outcome.drift = self.calm(),
            Ok(Restored::ImagesUnknown) => outcome.drift = Some(images_unknown()),
            // It is tried again with the next run for the newer revision, which is at once.
            Err(Ended::Failed(failed)) if failed.reason().is_some() => {
                tracing::warn!(verdict = ?failed.verdict, "what is applied could not be put back");
                return Err(work::superseded());
            }
            Err(ended) => return Err(ended),
        }
        Ok(Some(Box::new(outcome)))
    }

    /// Puts the applied revision back after a run for a newer one has failed.
    pub async fn restore_after(&mut self, outcome: &mut Outcome) {
        if outcome.reason().is_none_or(|reason| self.is_held(reason)) {
            return;
        }
        let Some(applied) = self.whole() else { return };
        if outcome.artifact.as_ref().is_some_and(|a| a.digest == applied.digest.as_str()) {
            return;
        }
        match Box::pin(self.restore(&applied)).await {
            Ok(Restored::Done(restored)) => {
                outcome.notes.extend(restored.notes);
                outcome.drift = restored.drift;
                outcome.entries = restored.entries;
            }
            Ok(Restored::Nothing) => outcome.drift = self.calm(),
            Ok(Restored::ImagesUnknown) => outcome.drift = Some(images_unknown()),
            Err(Ended::Again) => {}
            Err(Ended::Failed(failed)) => {
                tracing::debug!(verdict = ?failed.verdict, "what is applied could not be put back");
            }
        }
    }

    /// What is known of drift when nothing is to be put back; nothing new while a fight is
    /// on, or objects may not be read.
    fn calm(&self) -> Option<Assessment> {
        let fight = self.memory.next_correction(Timestamp::now()).is_some();
        (!fight && self.memory.unread.is_empty()).then(|| self.in_sync())
    }

    /// Writes the objects of the applied revision that are not as they were applied.
    async fn restore(&mut self, applied: &Revision) -> Result<Restored, Ended> {
        let session = self.session()?;
        let known = session.known().await?;
        let look = self.look(&session, &known).await?;
        if look.drifted.is_empty() && !look.unmade {
            return Ok(Restored::Nothing);
        }
        let admission = self.admission(&session, applied).await?;
        let pinned = self.memory.pinned.as_ref().is_some_and(|p| p.is_of(applied, admission.images()));
        if admission.images().is_some() && !pinned {
            return Ok(Restored::ImagesUnknown);
        }
        access::check_account(self.context, &session, self.release).await?;
        let mut release: Release = self.release.clone();
        release.wait = false;
        // What brings the newer revision goes on later as if this had not been.
        let rollout = std::mem::take(&mut self.memory.rollout);
        let awaited = std::mem::take(&mut self.memory.awaited);
        let mut run = Run {
            context: self.context,
            release: &release,
            memory: &mut *self.memory,
            signals: self.signals,
            turn: &mut *self.turn,
            status: self.status.clone(),
            trigger: Trigger::Restore,
            progress: self.progress,
            spent: Spent::new(&self.context.metrics),
        };
        let restored = work::work(&mut run, &session, known, applied, &admission).await;
        (self.memory.rollout, self.memory.awaited) = (rollout, awaited);
        restored.map(Restored::Done)
    }
}

fn images_unknown() -> Assessment {
    let message = "objects are not as they were applied, and are not put back: the digests that their images were \
                   applied with are not known any more; the next revision that is applied writes them";
    Assessment { status: Some(true), reason: Reason::DriftDetected, message: message.to_owned() }
}
