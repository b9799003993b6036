//! The deletion of what left the revision.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::inventory::Fate;
use crate::domain::message::List;
use crate::domain::outcome::Note;
use crate::domain::plan::Plan;
use crate::observe::labels::Phase;
use crate::reconcile::error::{ReconcileError, RunFailure, failure};
use crate::reconcile::phase::apply::{Applied, Executed};
use crate::reconcile::removal::remove::{Removal, RemovalOrder, remove};
use crate::reconcile::removal::removed::{Deletion, Removed};
use crate::reconcile::removal::terminating::{Waiter, await_gone, held};
use crate::reconcile::scope::{Scope, Trigger};

/// A plan that was carried out, and what left it deleted.
pub struct Pruned<'a> {
    /// The plan, and what was done.
    pub applied: Applied<'a>,
    /// Whether the cluster holds the whole revision and nothing that left it.
    pub complete: bool,
    /// What of what left holds up the deletion of the rest.
    pub held_up: Option<String>,
}

/// Deletes what left the revision. A run that was ended before deletes nothing.
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
    // A revision that is not complete may be one that is not healthy, or that the spec
    // has left: who only puts it back deletes nothing for it.
    let deletion = match scope.trigger {
        Trigger::Restore if !planned.was_complete => Deletion::Withheld,
        _ => Deletion::Real,
    };
    let release = scope.release;
    let order = RemovalOrder {
        release: &release.id,
        prune: release.prune,
        deletion,
        in_order: release.prune && deletion == Deletion::Real,
        progress: scope.progress,
        signals: scope.policy.interruptible.then_some(scope.signals),
    };
    let (plan, view) = (&planned.plan, &planned.view);
    let discovery = session.discovery_of(plan.leaving.iter().map(|l| l.id.group_kind())).await?;
    let leaving = plan.leaving.as_slice();
    let removal = Removal { env: scope.env, session, order, leaving, discovery: &discovery, view };
    let mut removed = remove(removal).await;
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

/// Adds what came of the removal to what was done; says whether the revision is complete,
/// and what holds up the rest.
fn conclude(scope: &Scope<'_>, removed: Removed, executed: &mut Executed) -> (bool, Option<String>) {
    let mut told = None;
    if executed.ended.is_none() {
        told = held_up(scope, &removed, executed);
    }
    let Removed { fates, deleted, terminating, failures, notes, interrupted, .. } = removed;
    let skipped = executed.fates.values().any(|f| *f == Fate::NotAttempted);
    let complete = terminating.is_empty() && failures.is_empty() && !skipped && !interrupted;
    executed.changes.pruned = i32::try_from(deleted).unwrap_or(i32::MAX);
    executed.changes.failed += i32::try_from(failures.len()).unwrap_or(i32::MAX);
    executed.fates.extend(fates);
    executed.notes.extend(notes);
    if let Some(first) = failures.first() {
        let count = failures.len();
        let s = if count == 1 { "" } else { "s" };
        let headline = format!("{count} object{s} that left could not be deleted");
        let message = format!("{headline}; {}: {}", first.id, first.message);
        let failed = RunFailure { headline: Some(headline), ..RunFailure::new(Reason::PruneFailed, message) };
        executed.ended = Some(ReconcileError::Failed(Box::new(failed)));
    }
    executed.failures.extend(failures);
    (complete, told)
}

/// Says what holds up the deletion of the rest; that it has failed once it takes
/// longer than the release waits for anything.
fn held_up(scope: &Scope<'_>, removed: &Removed, executed: &mut Executed) -> Option<String> {
    if removed.holders.is_empty() {
        return None;
    }
    let count = removed.waiting.len();
    let them = if count == 1 {
        "1 object that left is".to_owned()
    } else {
        format!("{count} objects that left are")
    };
    let told = format!("{them} deleted after {}", List::Names.few(&removed.holders, 1));
    let (release, now) = (scope.release, Timestamp::now());
    if !removed.holders.iter().any(|h| h.is_overdue(release.timeout, now)) {
        if scope.policy.awaits_termination {
            let message = format!("{told}: the inventory names what is left, run the same again to go on");
            executed.notes.push(Note { reason: Reason::TerminationPending, message });
        }
        return Some(told);
    }
    let headline = format!(
        "{told}, and that takes longer than {} ({}s): see to what has to clear it, or take it off",
        scope.policy.words.timeout,
        release.timeout.as_secs()
    );
    executed.ended = Some(failure(Reason::PruneFailed, headline).into());
    None
}

/// What a person is told who ended it before everything that left was deleted.
fn interrupted(removed: &Removed) -> ReconcileError {
    let headline = format!(
        "everything is applied, {} object(s) that left it were deleted until now, and the inventory names the rest; \
         run the same again to go on",
        removed.deleted
    );
    ReconcileError::Superseded(Some(headline))
}

/// What a person is told whose wait for what was deleted came to no end.
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
