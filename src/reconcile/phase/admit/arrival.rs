//! Whether a new revision may come now: its age, its promotion, and the windows of the release. A
//! revision that the cluster holds, a way back to an earlier one, and a rollout that has begun do not
//! wait.

use jiff::Timestamp;

use crate::api::guards::PendingRevision;
use crate::domain::gate::{self, ArrivalFacts, Decision, Facts, WakeOn};
use crate::domain::ledger::KnownRevision;
use crate::domain::outcome::{Arrival, Outcome};
use crate::domain::status::whole_seconds;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::{HeldCause, Update};
use crate::reconcile::trust::admission::Admission;

/// Checks a revision that is admitted.
///
/// # Errors
/// That it has to wait.
pub async fn check(
    scope: &Scope<'_>,
    update: &Update<'_>,
    admission: &Admission,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    let Update { ledger, revision, .. } = *update;
    // The way back does not wait, nor does a rollout that is finished before the newest revision.
    let goes_on = revision.held.as_ref().is_some_and(|held| held.cause != HeldCause::Downgrade);
    if !scope.policy.repeats || goes_on || scope.release.pin.is_some() {
        return Ok(());
    }
    let (guards, dependencies) = (&scope.release.guards, &scope.env.dependencies);
    if !guards.hold_arrivals() || ledger.whole() == Some(revision.key.as_str()) {
        dependencies.is_promoted(&scope.release.id);
        outcome.arrival = Arrival::Settled;
        return Ok(());
    }
    let (now, digest) = (Timestamp::now(), revision.digest.as_str());
    let status = scope.status();
    let known = status.pending.as_ref().filter(|pending| pending.digest == digest);
    let since = known.and_then(|pending| pending.since.parse().ok());
    let first_seen: Timestamp = since.unwrap_or_else(|| whole_seconds(now));
    let mut pending = PendingRevision {
        revision: revision.name.clone(),
        digest: digest.to_owned(),
        since: first_seen.to_string(),
        ..PendingRevision::default()
    };
    // Objects of it may be in the cluster, or a step of it may have run: it is not left half applied.
    let named = ledger.begun.as_ref().and_then(|begun| KnownRevision::named(&begun.revision));
    let has_begun = ledger.begun.as_ref().is_some_and(|begun| begun.key == revision.key)
        || status.steps.iter().any(|step| step.key == revision.key);
    // What was applied before may come back at once.
    let is_known = named.is_some_and(|begun| begun.digest == digest)
        || ledger.applied.as_ref().is_some_and(|(applied, _)| applied.digest == digest)
        || status.history.iter().any(|entry| entry.digest == digest);
    let unpromoted = match guards.promotion.is_empty() || is_known || has_begun {
        true => {
            dependencies.is_promoted(&scope.release.id);
            Vec::new()
        }
        false => {
            dependencies.listed().await;
            dependencies.unpromoted(&scope.release.id, digest, &guards.promotion, now)
        }
    };
    let arrival = ArrivalFacts {
        revision: &revision.name,
        digest,
        now,
        first_seen,
        signed_at: admission.signed_at(),
        is_known,
        across_namespaces: dependencies.scope.across_namespaces,
        unpromoted: &unpromoted,
    };
    let decision = match has_begun {
        true => Decision::Pass,
        false => gate::decide(&Facts { arrival: Some(arrival), ..scope.facts() }),
    };
    if let Decision::Wait(blocker, wake_on) = &decision {
        pending.reason = blocker.reason.to_string();
        // Releases that depend on this one see that it is not applied yet.
        outcome.artifact = Some(revision.artifact());
        if let WakeOn::Time(at) = wake_on {
            pending.opens_at = Some(at.to_string());
            outcome.wake_at = Some(*at);
        }
    }
    outcome.arrival = Arrival::Pending(pending);
    ReconcileError::from_gate(decision)
}
