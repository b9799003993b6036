//! The sequence of a run, as described in docs/architecture.md: each phase takes the result of the
//! phase before.
//!
//! Every phase is on the heap, except the wait for health. The future of a run is as large as the largest state that
//! is a part of it, and there may be thousands of runs that wait.

use super::cache::Caches;
use super::error::ReconcileError;
use super::phase::admit::{arrival, dependencies};
use super::phase::begin::Begun;
use super::phase::obtain::{Obtained, obtain};
use super::phase::plan::removal::RemovalCase;
use super::phase::plan::{drift, expressions, losses, ownership, plan, removal};
use super::phase::preflight::approval;
use super::phase::{admit, apply, claim, observe, pin, preflight, prune, resolve, settle, steps, wait};
use super::scope::Scope;
use super::scope::revision::Update;
use crate::api::status::ReleaseStatus;
use crate::domain::outcome::{Arrival, Outcome};

type Ended = Result<(), ReconcileError>;

/// Runs all phases for a release. The outcome also says what was done before an error.
pub async fn reconcile(scope: &Scope<'_>, caches: &mut Caches, begun: Begun, outcome: &mut Outcome) -> Ended {
    let Begun { session, ledger, command } = begun;
    let revision = Box::pin(resolve::resolve(scope, &session, caches.into(), &ledger, command)).await?;
    tracing::Span::current().record("revision", revision.name.as_str());
    if let Some((key, _)) = revision.way_back() {
        // Also in the outcome of a run that fails early.
        (outcome.way_back, outcome.artifact) = (Some(key.to_owned()), Some(revision.artifact()));
    }
    if let Some(later) =
        revision.later().filter(|later| scope.status().held_revision.as_deref() != Some(*later))
    {
        // The rollout may take long, and the status says what comes after it.
        let held_revision = Some(later.to_owned());
        let status = ReleaseStatus { held_revision, ..ReleaseStatus::clone(&scope.status()) };
        Box::pin(scope.write_status(status)).await?;
    }
    let update = Update { session: &session, ledger: &ledger, revision: &revision };
    let ended = advance(scope, caches, &update, outcome).await;
    let ended = ended.or_else(|error: ReconcileError| error.fold_into(outcome));
    let is_complete = caches.cluster.is_settled(&revision.key);
    caches.registry.ended(scope.release.generation, &revision.key, outcome, is_complete);
    ended
}

/// Runs the phases that follow once the revision is known.
async fn advance(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    outcome: &mut Outcome,
) -> Ended {
    let Update { session, revision, .. } = *update;
    let admission = Box::pin(admit::admit(scope, session, caches.into(), revision)).await?;
    let updated = async {
        if Box::pin(observe::is_settled(scope, caches, update, &admission)).await? {
            *outcome = settle::no_op(scope, caches, revision);
            outcome.arrival = Arrival::Settled;
            return Box::pin(dependencies::check(scope, update, outcome)).await;
        }
        Box::pin(arrival::check(scope, update, &admission, outcome)).await?;
        Box::pin(dependencies::check(scope, update, outcome)).await?;
        approval::still_waits(scope, caches, update, outcome)?;
        let obtained = Box::pin(obtain(scope, caches, update, &admission)).await?;
        bring(scope, caches, update, obtained, outcome).await
    };
    let ended = updated.await.or_else(|error: ReconcileError| error.fold_into(outcome));
    settle::way_back(revision, outcome);
    dependencies::name_missing(&mut caches.rollout, outcome);
    admission.report(caches.trust.pinned_of(revision, admission.images()), outcome);
    ended
}

/// Applies the objects of a revision to the cluster.
pub async fn bring(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    obtained: Obtained,
    outcome: &mut Outcome,
) -> Ended {
    let session = update.session;
    obtained.report(&caches.cluster, outcome);
    let Obtained { rendered, content, .. } =
        Box::pin(pin::pin(scope, caches.into(), update, obtained)).await?;
    let (is_empty, room) = (rendered.objects.is_empty(), content.into_room());
    let mut planned = Box::pin(plan(scope, &mut caches.cluster, update, rendered)).await?;
    Box::pin(ownership::check(scope, session, &planned)).await?;
    Box::pin(expressions::check(scope, session, &planned)).await?;
    let answers = approval::is_needed(scope, update);
    let case = RemovalCase { is_empty, is_planned: answers };
    Box::pin(removal::check(scope, update, &mut caches.held, &mut planned, case)).await?;
    Box::pin(losses::check(scope, session, update.revision, &planned)).await?;
    outcome.drift = Box::pin(drift::hold_back(scope, session, &mut caches.drift, &mut planned)).await;
    let accepted =
        Box::pin(preflight::preflight(scope, session, &mut caches.rollout, planned, answers)).await?;
    let accepted = Box::pin(approval::approve(scope, caches, update, accepted, outcome)).await?;
    let accepted = Box::pin(steps::before(scope, caches, update, accepted)).await?;
    let claimed = Box::pin(claim::claim(scope, &mut caches.cluster, update, accepted)).await?;
    let mut applied = Box::pin(apply::apply(scope, caches.into(), update, claimed)).await;
    // What waits must not keep the memory that the artifacts of others need.
    let _room = room.left(applied.planned.plan.forget_sent());
    let waited = wait::wait(scope, caches.into(), update, applied).await;
    let stepped = Box::pin(steps::after(scope, caches, update, waited)).await;
    let pruned = Box::pin(prune::prune(scope, session, stepped)).await;
    let complete = pruned.complete;
    Box::pin(settle::settle(scope, caches, update, pruned, outcome)).await?;
    match complete {
        true => Box::pin(steps::forget_others(scope, update)).await,
        false => Ok(()),
    }
}
