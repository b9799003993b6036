//! The runs of a release that a resource asks for: they report to its status, and repeat.

use std::sync::Arc;

use crate::api::reason::Reason;
use crate::api::status::ReleaseStatus;
use crate::cluster::inventory::FinalizerPolicy;
use crate::domain::ledger::Command;
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::release::Release;
use crate::observe::metrics::PhaseTimer;
use crate::reconcile::cache::Caches;
use crate::reconcile::driver;
use crate::reconcile::env::Env;
use crate::reconcile::env::recovery::RegistryRecovery;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::flow::retry::InventoryRetry;
use crate::reconcile::phase::begin::begin;
use crate::reconcile::phase::resolve::is_answered;
use crate::reconcile::removal::finalize::{FinalizeResult, finalize};
use crate::reconcile::restore::{restore_after, restore_first};
use crate::reconcile::scope::progress::NoProgress;
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::scope::slot::{WorkerPool, WorkerSlot};
use crate::reconcile::scope::{ReportedStatus, RunPolicy, Scope, Trigger, Words};

/// How the operator wants its runs.
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

/// A wish for a run.
pub struct OperatorRequest<'a> {
    /// What the process shares.
    pub env: &'a Env,
    /// Where its worker comes from.
    pub pool: &'a WorkerPool,
    /// The release.
    pub release: &'a Release,
    /// What the run is for.
    pub trigger: Trigger,
    /// What reaches the release meanwhile.
    pub signals: &'a Signals,
    /// The status in the cluster.
    pub status: Arc<ReleaseStatus>,
}

impl OperatorRequest<'_> {
    /// Runs, and says what came of it; and what the status in the cluster is by now.
    pub async fn reconcile(self, caches: &mut Caches) -> (Outcome, Arc<ReleaseStatus>) {
        let (slot, timer) = (WorkerSlot::new(self.pool), PhaseTimer::new(&self.env.metrics));
        let reported = ReportedStatus::shared(Arc::clone(&self.status));
        let scope = self.scope(&slot, &reported, &timer);
        let outcome = reconcile(&scope, caches).await;
        (outcome, reported.get())
    }

    /// Deletes the objects of a release that goes, or lets them be.
    pub async fn finalize(self, caches: &mut Caches) -> (FinalizeResult, Arc<ReleaseStatus>) {
        let (slot, timer) = (WorkerSlot::new(self.pool), PhaseTimer::new(&self.env.metrics));
        let reported = ReportedStatus::shared(Arc::clone(&self.status));
        let scope = self.scope(&slot, &reported, &timer);
        let result = finalize(&scope, caches).await;
        (result, reported.get())
    }

    fn scope<'s>(
        &'s self,
        slot: &'s WorkerSlot,
        reported: &'s ReportedStatus,
        timer: &'s PhaseTimer,
    ) -> Scope<'s> {
        let Self { env, release, trigger, signals, .. } = *self;
        let (policy, progress) = (&POLICY, &NoProgress);
        let is_asked = release.is_asked(self.status.last_handled_reconcile_at.as_deref());
        Scope { env, release, trigger, is_asked, policy, signals, slot, reported, progress, timer }
    }
}

/// Runs, and says what came of it. Every error is folded into the outcome.
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
    restore_after(scope, caches, &mut outcome).await;
    leave_open(scope, caches, &mut outcome);
    caches.cluster.drop_unused_watches();
    if !outcome.verdict.is_silent() && outcome.reason() != Some(Reason::OwnershipConflict) {
        // It waits no longer for objects of others: who keeps one for it would wait in vain.
        scope.env.wake(scope.env.claims.want_nothing(&scope.release.id));
    }
    outcome.fetch_failed = fetch_failure(caches, &outcome);
    if !outcome.verdict.is_silent() {
        outcome.notes.append(&mut caches.notes.take());
    }
    // Who was away for this run tells when it is back.
    match outcome.reason() {
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
    let begun = begin(scope, caches).await?;
    match &begun.command {
        Command::Restore(applied) => restore_first(scope, caches, &begun, applied, outcome).await,
        Command::Keep(_) | Command::Continue | Command::Resolve { .. } => {
            driver::reconcile(scope, caches, begun, outcome).await
        }
    }
}

/// A run that has put objects back, and not asked the registry, says nothing of a
/// spec or a wish that nobody has answered yet: the next run does, which is at once.
fn leave_open(scope: &Scope<'_>, caches: &Caches, outcome: &mut Outcome) {
    let well = matches!(outcome.verdict, Verdict::Ready { .. }) && !outcome.rollout;
    if well && !is_answered(scope.release, &caches.registry) {
        let (notes, drift) = (std::mem::take(&mut outcome.notes), outcome.drift.take());
        *outcome = Outcome { verdict: Verdict::AsBefore, notes, drift, ..Outcome::default() };
    }
}

/// What keeps the registry from giving what the spec asks for, as far as this run
/// and those before it have asked.
fn fetch_failure(caches: &Caches, outcome: &Outcome) -> Option<Assessment> {
    let failed = match &outcome.verdict {
        Verdict::Failed { reason, message } => Some((*reason, message)),
        _ => None,
    };
    let stale = caches.registry.stale.as_ref().map(|(reason, message)| (*reason, message));
    let mut found = stale.into_iter().chain(failed).filter(|(reason, _)| reason.is_about_source());
    let (reason, message) = found.next()?;
    Some(Assessment { status: Some(true), reason, message: message.clone() })
}
