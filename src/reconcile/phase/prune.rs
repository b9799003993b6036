//! The deletion of what left the revision.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::domain::message::List;
use crate::domain::outcome::Note;
use crate::domain::plan::Plan;
use crate::observe::labels::Phase;
use crate::reconcile::error::{ReconcileError, RunFailure, failure, unreachable};
use crate::reconcile::phase::apply::Applied;
use crate::reconcile::phase::apply::executed::Executed;
use crate::reconcile::removal::in_order::remove_in_order;
use crate::reconcile::removal::remove::{Removal, RemovalOrder};
use crate::reconcile::removal::removed::{Deletion, Removed};
use crate::reconcile::removal::terminating::{Waiter, await_gone, held};
use crate::reconcile::scope::{Scope, Trigger};

/// An applied plan, with the objects that left it deleted.
pub struct Pruned<'a> {
    /// The plan, and what was done.
    pub applied: Applied<'a>,
    /// Whether the cluster has the whole revision and no object that left it.
    pub complete: bool,
    /// Which of these objects block the deletion of the rest.
    pub held_up: Option<String>,
}

/// Deletes what left the revision. A run that has already ended deletes nothing.
pub async fn prune<'a>(scope: &Scope<'_>, session: &Session, mut applied: Applied<'a>) -> Pruned<'a> {
    let (mut complete, mut held_up) = (false, None);
    if applied.executed.ended.is_none() {
        match remove_leaving(scope, session, &mut applied).await {
            Ok(removed) => (complete, held_up) = conclude(scope, removed, &mut applied.executed),
            Err(error) => applied.executed.ended = Some(error),
        }
    }
    Pruned { applied, complete, held_up }
}

async fn remove_leaving(
    scope: &Scope<'_>,
    session: &Session,
    applied: &mut Applied<'_>,
) -> Result<Removed, ReconcileError> {
    let started = Instant::now();
    let Applied { planned, executed, .. } = applied;
    // An incomplete revision may be unhealthy, or not wanted any more: a drift correction deletes
    // nothing for it.
    let deletion = match scope.trigger {
        Trigger::Restore if !planned.was_complete => Deletion::Withheld,
        _ => Deletion::Real,
    };
    let release = scope.release;
    if scope.policy.repeats && !planned.plan.leaving.is_empty() {
        // A release that is not known yet may take one of them over.
        scope.env.dependencies.listed().await;
    }
    let order = RemovalOrder {
        release: &release.id,
        prune: release.prune,
        promised: &planned.promised,
        deletion,
        in_order: release.prune && deletion == Deletion::Real,
        progress: scope.progress,
        signals: scope.policy.interruptible.then_some(scope.signals),
    };
    let (plan, view) = (&planned.plan, &planned.view);
    let discovery = session.discovery_of(plan.leaving.iter().map(|l| l.id.group_kind())).await?;
    let leaving = plan.leaving.as_slice();
    let removal = Removal { env: scope.env, session, order, leaving, discovery: &discovery, view };
    let mut removed = remove_in_order(removal).await;
    let is_free = |id: &ObjectId| scope.env.target.claims.other_pending_owner(&release.id, id).is_none();
    if planned.promised.keys().any(is_free) {
        // Nobody else tells that: the next run checks whether it may be deleted.
        scope.env.wake([release.id.clone()]);
    }
    let awaits = scope.policy.awaits_termination && release.wait;
    let waiter = Waiter { timeout: release.timeout, signals: scope.signals, progress: scope.progress };
    if awaits {
        removal.resume(&waiter, &mut removed).await;
    }
    if removed.interrupted {
        executed.ended = Some(interrupted(&removed));
    } else if awaits {
        if removed.waiting.is_empty() {
            let all = removed.terminating.clone();
            await_gone(&waiter, session, &discovery, leaving, &mut removed, &all).await;
        }
        executed.ended = not_gone(scope, session, &discovery, plan, &removed).await;
    }
    scope.timer.add(Phase::Prune, started.elapsed());
    Ok(removed)
}

/// Adds the result of the removal to the result of the run; returns whether the revision is
/// complete, and what blocks the rest.
fn conclude(scope: &Scope<'_>, removed: Removed, executed: &mut Executed) -> (bool, Option<String>) {
    let mut state = None;
    if executed.ended.is_none() {
        state = held_up(scope, &removed, executed);
    }
    let Removed { fates, deleted, terminating, failures, notes, interrupted, .. } = removed;
    let skipped = executed.fates.values().any(|f| *f == Fate::NotAttempted);
    let complete = terminating.is_empty() && failures.is_empty() && !skipped && !interrupted;
    executed.changes.pruned = i32::try_from(deleted).unwrap_or(i32::MAX);
    executed.changes.failed += i32::try_from(failures.len()).unwrap_or(i32::MAX);
    executed.fates.extend(fates);
    executed.notes.extend(notes);
    if let Some(away) = unreachable(&failures) {
        executed.ended = Some(away);
    } else if let Some(first) = failures.first() {
        let count = failures.len();
        let s = if count == 1 { "" } else { "s" };
        let headline = format!("cannot delete {count} object{s} no longer in the manifests");
        let message = format!("{headline}; {}: {}", first.id, first.message);
        let failed = RunFailure { headline: Some(headline), ..RunFailure::new(Reason::PruneFailed, message) };
        executed.ended = Some(ReconcileError::Failed(Box::new(failed)));
    }
    executed.failures.extend(failures);
    (complete, state)
}

/// Returns what blocks the deletion of the rest; the run fails when it takes longer than the
/// timeout.
fn held_up(scope: &Scope<'_>, removed: &Removed, executed: &mut Executed) -> Option<String> {
    if removed.holders.is_empty() {
        return None;
    }
    let count = removed.waiting.len();
    let s = if count == 1 { "" } else { "s" };
    let state = format!("deletion of {count} object{s} waits for {}", List::Names.few(&removed.holders, 1));
    let (release, now) = (scope.release, Timestamp::now());
    if !removed.holders.iter().any(|h| h.is_overdue(release.timeout, now)) {
        if scope.policy.awaits_termination {
            let message = format!("{state}; the inventory has the rest: rerun the command to continue");
            executed.notes.push(Note { reason: Reason::TerminationPending, message });
        }
        return Some(state);
    }
    let headline = format!(
        "{state}, longer than {} ({}s): fix the controller that clears the finalizer, or remove the finalizer",
        scope.policy.words.timeout,
        release.timeout.as_secs()
    );
    executed.ended = Some(failure(Reason::PruneFailed, headline).into());
    None
}

/// The message after Ctrl-C before everything that left was deleted.
fn interrupted(removed: &Removed) -> ReconcileError {
    let headline = format!(
        "applied, but deleted only {} object(s) no longer in the manifests; the inventory has the rest: rerun the \
         command to continue",
        removed.deleted
    );
    ReconcileError::Superseded(Some(headline))
}

/// The message when the wait for deleted objects timed out.
async fn not_gone(
    scope: &Scope<'_>,
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    plan: &Plan,
    removed: &Removed,
) -> Option<ReconcileError> {
    if removed.terminating.is_empty() {
        return None;
    }
    if scope.signals.is_stopping() {
        return Some(ReconcileError::SUPERSEDED);
    }
    let headline = format!("not gone within --timeout ({}s)", scope.release.timeout.as_secs());
    let objects = held(session, discovery, &plan.leaving, removed).await;
    let failed = RunFailure {
        headline: Some(headline.clone()),
        objects,
        ..RunFailure::new(Reason::PruneFailed, headline)
    };
    Some(ReconcileError::Failed(Box::new(failed)))
}
