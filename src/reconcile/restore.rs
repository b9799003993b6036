//! Drift correction of the applied revision while a newer one is unavailable or refused.

use jiff::Timestamp;

use super::cache::Caches;
use super::driver::bring;
use super::error::ReconcileError;
use super::live::in_sync::in_sync;
use super::phase::admit::admit;
use super::phase::begin::{Begun, facts_of, ledger_of};
use super::phase::observe::{follow_health, look};
use super::phase::obtain::obtain;
use super::phase::resolve::revision_of;
use super::scope::revision::Update;
use super::scope::{ReportedStatus, Scope, Trigger};
use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::ledger::{KnownRevision, Ledger};
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::release::Release;
use crate::observe::metrics::PhaseTimer;

/// The result of a drift correction.
enum Restored {
    /// There was no drift.
    Nothing,
    /// The digests that the images were applied with are unknown.
    ImagesUnknown,
    /// Drift was corrected, with this outcome.
    Done(Box<Outcome>),
}

/// Corrects drift of the applied revision before a newer one is looked for, when only objects have
/// changed. The status of the last run stays valid.
///
/// # Errors
/// Why the drift was not corrected: another run for the newer revision follows at once.
pub async fn restore_first(
    scope: &Scope<'_>,
    caches: &mut Caches,
    begun: &Begun,
    applied: &KnownRevision,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    outcome.verdict = Verdict::AsBefore;
    let Begun { session, ledger, .. } = begun;
    match Box::pin(restore(scope, caches, session, ledger, applied)).await {
        Ok(Restored::Done(restored)) => {
            if let Verdict::Failed { reason, message } | Verdict::Waiting { reason, message } =
                &restored.verdict
            {
                tracing::warn!(%reason, message, "cannot correct the drift of the applied revision");
                return Err(ReconcileError::SUPERSEDED);
            }
            (outcome.notes, outcome.drift) = (restored.notes, restored.drift);
        }
        Ok(Restored::Nothing) => outcome.drift = calm(scope, caches),
        Ok(Restored::ImagesUnknown) => outcome.drift = Some(images_unknown()),
        Err(ReconcileError::Failed(failure)) => {
            let (reason, message) = (failure.reason, failure.message);
            tracing::warn!(%reason, message, "cannot correct the drift of the applied revision");
            return Err(ReconcileError::SUPERSEDED);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Corrects drift of the applied revision after a run for a newer one has failed.
pub async fn restore_after(scope: &Scope<'_>, caches: &mut Caches, outcome: &mut Outcome) {
    let ledger = ledger_of(scope, caches);
    if outcome.reason().is_none_or(|reason| ledger.is_held(reason)) {
        return;
    }
    let Some(applied) = ledger.restorable(scope.release, &facts_of(scope, caches)) else { return };
    if outcome.artifact.as_ref().is_some_and(|a| a.digest == applied.digest) {
        return;
    }
    let Ok(session) = caches.session(scope) else { return };
    match Box::pin(restore(scope, caches, &session, &ledger, &applied)).await {
        Ok(Restored::Done(restored)) => {
            outcome.notes.extend(restored.notes);
            outcome.drift = restored.drift;
            outcome.entries = restored.entries;
        }
        Ok(Restored::Nothing) => outcome.drift = calm(scope, caches),
        Ok(Restored::ImagesUnknown) => outcome.drift = Some(images_unknown()),
        Err(ReconcileError::Failed(failure)) => {
            let (reason, message) = (failure.reason, failure.message);
            tracing::debug!(%reason, message, "cannot correct the drift of the applied revision");
        }
        // The next run tries it again.
        Err(_) => {}
    }
    if let Ok(revision) = revision_of(scope.release, &applied)
        && let Err(error) = follow_health(scope, caches, &session, &revision).await
    {
        tracing::debug!(?error, "cannot follow the health of the applied revision");
    }
}

/// The drift condition when there is nothing to correct; unchanged while a correction is delayed,
/// or objects cannot be read.
fn calm(scope: &Scope<'_>, caches: &Caches) -> Option<Assessment> {
    let fight = caches.drift.next_correction(Timestamp::now()).is_some();
    (!fight && caches.cluster.unread.is_empty()).then(|| in_sync(scope.release, &caches.cluster))
}

/// Writes the objects of the applied revision that have drifted.
async fn restore(
    scope: &Scope<'_>,
    caches: &mut Caches,
    session: &Session,
    ledger: &Ledger,
    applied: &KnownRevision,
) -> Result<Restored, ReconcileError> {
    let revision = &revision_of(scope.release, applied)?;
    let discovery = session.discovery().await?;
    let observed = look(scope, session, &discovery, &mut caches.cluster, &caches.drift).await?;
    if observed.drifted.is_empty() && !observed.unmade {
        return Ok(Restored::Nothing);
    }
    let admission = admit(scope, session, caches.into(), revision).await?;
    if admission.images().is_some() && !caches.trust.is_pinned(revision, admission.images()) {
        return Ok(Restored::ImagesUnknown);
    }
    let mut release: Release = scope.release.clone();
    release.wait = false;
    release.health_checks = std::sync::Arc::default();
    let (reported, timer) = (ReportedStatus::shared(scope.status()), PhaseTimer::new(&scope.env.metrics));
    let inner =
        Scope { release: &release, trigger: Trigger::Restore, reported: &reported, timer: &timer, ..*scope };
    // The rollout of the newer revision continues later, unaffected by this.
    let progress = std::mem::take(&mut caches.rollout.progress);
    let awaited = std::mem::take(&mut caches.rollout.awaited);
    let mut outcome = Outcome::default();
    let update = Update { session, ledger, revision };
    let obtained = obtain(&inner, caches, &update, &admission).await;
    let ended = match obtained {
        Ok(obtained) => {
            let ended = bring(&inner, caches, &update, obtained, &mut outcome).await;
            ended.or_else(|error| error.fold_into(&mut outcome))
        }
        Err(error) => Err(error),
    };
    scope.slot.release();
    (caches.rollout.progress, caches.rollout.awaited) = (progress, awaited);
    ended.map(|()| Restored::Done(Box::new(outcome)))
}

fn images_unknown() -> Assessment {
    let message = "Drift found but not corrected: the image digests of the applied revision are unknown; the next \
                   revision corrects it";
    Assessment { status: Some(true), reason: Reason::DriftDetected, message: message.to_owned() }
}
