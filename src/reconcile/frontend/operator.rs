//! The runs of a release resource: they report to its status, and repeat.

use std::sync::Arc;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::api::status::ReleaseStatus;
use crate::cluster::inventory::FinalizerPolicy;
use crate::cluster::session::Identity;
use crate::domain::ledger::Command;
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::release::Release;
use crate::domain::release::approval::ApprovalPolicy;
use crate::domain::status::plan_after;
use crate::observe::metrics::PhaseTimer;
use crate::reconcile::cache::Caches;
use crate::reconcile::driver;
use crate::reconcile::env::Env;
use crate::reconcile::env::recovery::RegistryRecovery;
use crate::reconcile::env::target::TargetCluster;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::flow::retry::InventoryRetry;
use crate::reconcile::phase::begin::begin;
use crate::reconcile::phase::resolve::is_answered;
use crate::reconcile::place::locate;
use crate::reconcile::removal::finalize::{FinalizeResult, finalize};
use crate::reconcile::restore::{restore_after, restore_first};
use crate::reconcile::scope::progress::NoProgress;
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::scope::slot::{RunPlace, WorkerPool, WorkerSlot};
use crate::reconcile::scope::{ReportedStatus, RunPolicy, Scope, Trigger, Words};
use crate::reconcile::source::inputs::read_inputs;

/// The policy for runs of the operator.
const POLICY: RunPolicy = RunPolicy {
    finalizer: FinalizerPolicy::Set,
    repeats: true,
    interruptible: false,
    awaits_termination: false,
    records_each_apply: false,
    words: Words {
        timeout: "spec.timeout",
        force: "spec.force",
        content: "artifact",
        create_namespace: None,
    },
};

/// A requested run.
pub struct OperatorRequest<'a> {
    /// What the process shares.
    pub env: &'a Env,
    /// The worker pool.
    pub pool: &'a WorkerPool,
    /// The release.
    pub release: &'a Release,
    /// The trigger of the run.
    pub trigger: Trigger,
    /// The signals to the release.
    pub signals: &'a Signals,
    /// The status in the cluster.
    pub status: Arc<ReleaseStatus>,
    /// Its place among the runs that have begun.
    pub place: Option<RunPlace>,
}

impl OperatorRequest<'_> {
    /// Runs; returns the outcome, the current status in the cluster, and the release with the inputs
    /// of its rendering, if it has any.
    pub async fn reconcile(mut self, caches: &mut Caches) -> (Outcome, Arc<ReleaseStatus>, Option<Release>) {
        let (env, place) = (Box::pin(self.placed(caches, false)).await, self.place.take());
        // Another cluster has its own workers: one that is slow must not keep releases of other clusters from beginning.
        let place = place.filter(|_| env.target.pool().is_none());
        let slot = WorkerSlot::new(self.pool(&env)).with_place(place);
        let timer = PhaseTimer::new(&env.metrics);
        let reported = ReportedStatus::shared(Arc::clone(&self.status));
        let scope = self.scope(&env, &slot, &reported, &timer);
        let is_needed = !scope.release.suspend || scope.is_asked;
        let read = if is_needed { Box::pin(read_inputs(&scope, caches)).await } else { Ok(None) };
        let (inputs, unread) = match read {
            Ok(inputs) => (inputs, None),
            Err(error) => {
                // What is applied is put back with the last values; never with those that may not be read
                // any more.
                let missing = [Some(Reason::ConfigMapNotFound), Some(Reason::SecretNotFound)];
                let last = caches.inputs.last.clone().filter(|_| missing.contains(&error.reason()));
                (last, Some(error))
            }
        };
        let redaction = Arc::clone(caches.inputs.redaction());
        let complete = match inputs {
            Some(inputs) => Some(self.release.with_inputs(inputs, redaction)),
            // What was read before is still never shown.
            None if redaction.is_empty() => None,
            None => Some(self.release.with_inputs(Arc::default(), redaction)),
        };
        let release = complete.as_ref().unwrap_or(self.release);
        let scope = Scope { release, unread: unread.as_ref(), ..scope };
        let mut outcome = reconcile(&scope, caches).await;
        let own = unread.as_ref().and_then(ReconcileError::message);
        outcome.redact(&release.redaction, own);
        caches.inputs.rest();
        (outcome, reported.get(), complete)
    }

    /// Deletes or keeps the objects of a deleted release.
    pub async fn finalize(mut self, caches: &mut Caches) -> (FinalizeResult, Arc<ReleaseStatus>) {
        let (env, place) = (Box::pin(self.placed(caches, true)).await, self.place.take());
        // Another cluster has its own workers: one that is slow must not keep releases of other clusters from beginning.
        let place = place.filter(|_| env.target.pool().is_none());
        let slot = WorkerSlot::new(self.pool(&env)).with_place(place);
        let timer = PhaseTimer::new(&env.metrics);
        let reported = ReportedStatus::shared(Arc::clone(&self.status));
        let scope = self.scope(&env, &slot, &reported, &timer);
        let mut result = finalize(&scope, caches).await;
        result.outcome.redact(caches.inputs.redaction(), None);
        (result, reported.get())
    }

    /// The environment of the run, with the cluster of its objects. One that does nothing asks for no
    /// cluster.
    async fn placed(&self, caches: &mut Caches, ends: bool) -> Env {
        let Self { env, release, .. } = self;
        let is_asked = release.is_asked(self.status.last_handled_reconcile_at.as_deref());
        let target = match release.suspend && !is_asked && !ends {
            true => Arc::new(TargetCluster::away(
                caches.place.target.as_deref(),
                failure(Reason::Suspended, "the release is suspended"),
            )),
            false => locate(env, release, &mut caches.place, ends).await,
        };
        Env { target, ..Env::clone(env) }
    }

    /// The workers of the run: another cluster has its own.
    fn pool<'s>(&'s self, env: &'s Env) -> &'s WorkerPool {
        env.target.pool().unwrap_or(self.pool)
    }

    fn scope<'s>(
        &'s self,
        env: &'s Env,
        slot: &'s WorkerSlot,
        reported: &'s ReportedStatus,
        timer: &'s PhaseTimer,
    ) -> Scope<'s> {
        let Self { release, trigger, signals, .. } = *self;
        let (policy, progress) = (&POLICY, &NoProgress);
        let is_asked = release.is_asked(self.status.last_handled_reconcile_at.as_deref());
        let unread = None;
        Scope { env, release, unread, trigger, is_asked, policy, signals, slot, reported, progress, timer }
    }
}

/// Runs and returns the outcome. Every error is folded into it.
async fn reconcile(scope: &Scope<'_>, caches: &mut Caches) -> Outcome {
    let mut retry = InventoryRetry::default();
    let mut outcome = loop {
        let mut outcome = Outcome::default();
        let ended = Box::pin(attempt(scope, caches, &mut outcome)).await;
        scope.slot.release();
        if let Some(attempted) = retry.settle(scope, caches, ended, outcome) {
            break attempted.outcome;
        }
    };
    Box::pin(restore_after(scope, caches, &mut outcome)).await;
    leave_open(scope, caches, &mut outcome);
    caches.cluster.drop_unused_watches();
    if outcome.verdict == Verdict::Suspended {
        // Nothing that it depends on is of interest before it is resumed.
        scope.env.dependencies.kinds.forget(&scope.release.id);
        scope.env.dependencies.unfollow(&scope.release.id);
    }
    // Until this process has asked the registry, the status knows.
    outcome.held = match (&caches.registry.held, &caches.registry.answered) {
        (Some(held), _) => Some(held.revision.clone()),
        (None, Some(_)) => None,
        (None, None) => scope.status().held_revision.clone(),
    };
    let has_plan = plan_after(scope.status().plan.as_ref(), &scope.release.approval, &outcome).is_some();
    let may_take = has_plan || outcome.reason() == Some(Reason::OwnershipConflict);
    // A newer revision may take over the same objects, which only its plan can tell.
    let is_planned = scope.release.approval == ApprovalPolicy::Automatic
        || matches!(outcome.verdict, Verdict::Ready { .. } | Verdict::Suspended);
    if !outcome.verdict.is_silent() && !may_take && is_planned {
        // It does not wait for objects of others any more: a release that keeps one for it would
        // wait in vain. What its plan takes over is kept until a person has decided.
        scope.env.wake(scope.env.target.claims.want_nothing(&scope.release.id));
    }
    if scope.env.target.reach().is_ok() {
        outcome.cluster = Some(scope.env.target.place.as_ref().map(|place| place.server.clone()));
    }
    if outcome.reason() == Some(Reason::ClusterUnreachable) {
        // What the watches have shown does not count any more.
        caches.rollout.checkup = None;
        leave_unjudged(scope, &mut outcome);
    }
    Box::pin(await_account(scope, caches, &outcome)).await;
    outcome.fetch_failed = fetch_failure(caches, &outcome);
    if !outcome.verdict.is_silent() {
        outcome.notes.append(&mut caches.notes.take());
    }
    // The release is notified when the API server is available again.
    match outcome.reason() {
        // Another cluster notifies its releases itself.
        Some(Reason::ApiServerUnavailable) => {
            RegistryRecovery::wait_for_api(&scope.env.session, &scope.release.id, &scope.env.wake);
        }
        Some(Reason::RegistryUnavailable) => {
            scope.wake_when_registry_is_back(caches.registry.access.as_ref());
        }
        _ => {}
    }
    outcome
}

async fn attempt(
    scope: &Scope<'_>,
    caches: &mut Caches,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    let begun = Box::pin(begin(scope, caches)).await?;
    match &begun.command {
        Command::Restore(applied) => Box::pin(restore_first(scope, caches, &begun, applied, outcome)).await,
        Command::Keep(_) | Command::Continue | Command::Resolve { .. } => {
            driver::reconcile(scope, caches, begun, outcome).await
        }
    }
}

/// An account that does not exist in another cluster is watched there: the release continues when it
/// is created.
async fn await_account(scope: &Scope<'_>, caches: &mut Caches, outcome: &Outcome) {
    let there = caches.cluster.session.as_ref().filter(|session| session.server().is_some());
    let missing = there.filter(|_| outcome.reason() == Some(Reason::ServiceAccountNotFound));
    caches.place.account = match missing.map(|session| (session, session.identity())) {
        Some((session, Identity::ServiceAccount { namespace, name })) => {
            let notifier = scope.env.notifier(&scope.release.id);
            let watched = session.as_process().watch_account(namespace, name, notifier);
            if let Ok(Some(_)) = watched.current().await {
                // It was created since.
                scope.env.wake([scope.release.id.clone()]);
            }
            Some(watched)
        }
        _ => None,
    };
}

/// Nothing is known of the objects while their cluster is away.
fn leave_unjudged(scope: &Scope<'_>, outcome: &mut Outcome) {
    let Verdict::Failed { reason, message } = &outcome.verdict else { return };
    let unknown = || Some(Assessment { status: None, reason: *reason, message: message.clone() });
    if scope.release.awaits_health() {
        outcome.health = unknown();
    }
    if scope.release.drift != DriftMode::Off {
        outcome.drift = unknown();
    }
}

/// A run that corrected drift without asking the registry does not report on a newer spec or a
/// requested run: the next run, which follows at once, does.
fn leave_open(scope: &Scope<'_>, caches: &Caches, outcome: &mut Outcome) {
    let well = matches!(outcome.verdict, Verdict::Ready { .. }) && !outcome.rollout;
    if well && !is_answered(scope.release, &caches.registry) {
        let (notes, drift) = (std::mem::take(&mut outcome.notes), outcome.drift.take());
        *outcome = Outcome { verdict: Verdict::AsBefore, notes, drift, ..Outcome::default() };
    }
}

/// Why the registry does not provide what the spec wants, as far as this run and earlier runs know.
fn fetch_failure(caches: &Caches, outcome: &Outcome) -> Option<Assessment> {
    let failed = match &outcome.verdict {
        Verdict::Failed { reason, message } => Some((*reason, message)),
        _ => None,
    };
    let stale = caches.registry.stale.as_deref().map(|(reason, message)| (*reason, message));
    let mut found = stale.into_iter().chain(failed).filter(|(reason, _)| reason.is_about_source());
    let (reason, message) = found.next()?;
    Some(Assessment { status: Some(true), reason, message: message.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// See `a_run_that_waits_is_small` of the actor.
    #[test]
    fn an_attempt_that_waits_is_small() {
        fn of<'a, F: Future>(_: impl FnOnce(&'a Scope<'a>, &'a mut Caches, &'a mut Outcome) -> F) -> usize {
            size_of::<F>()
        }
        assert!(of(attempt) <= 7168, "{} bytes", of(attempt));
    }
}
