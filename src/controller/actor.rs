//! One release: its runs one after another, and the waits between them.

mod between;
mod finalizer;
mod last_status;
mod news;
mod rest;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::Instrument;

use self::last_status::LastStatus;
use super::health_watch::HealthWatch;
use super::latest::Latest;
use super::specs::{Spec, Specs};
use super::{log, report};
use crate::api::reason::{Disposition, Reason};
use crate::api::release::DriftMode;
use crate::domain::identity::ReleaseId;
use crate::domain::kept::KeptRelease;
use crate::domain::observed::ObservedRelease;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::release::{InvalidSpec, Release, has_begun};
use crate::domain::schedule::{Ended, RunIntervals, backoff, next};
use crate::domain::status;
use crate::notify::{Mailbox, Notifier};
use crate::observe::labels::Phase;
use crate::observe::traces;
use crate::reconcile::cache::Caches;
use crate::reconcile::env::Env;
use crate::reconcile::error::chain;
use crate::reconcile::frontend::operator::OperatorRequest;
use crate::reconcile::scope::Trigger;
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::scope::slot::{RunPlace, WorkerPool};

/// When to retry a failed write of the status.
const STATUS_RETRY: Duration = Duration::from_secs(5);
/// How long after an opening the run for it starts.
const AFTER_OPENING: Duration = Duration::from_millis(10);
/// When to retry a release that changed while its finalizer was set.
const FINALIZER_RETRY: Duration = Duration::from_millis(250);

/// The state that all actors share.
pub struct SharedState {
    /// The environment of the runs.
    pub env: Env,
    /// The workers of all runs.
    pub pool: WorkerPool,
    /// The memory for the specs of releases.
    pub specs: Specs,
    /// The receivers of notifications.
    pub news: Notifier,
    /// From when the seconds are counted at which long waits end.
    pub start: Instant,
}

/// The actor of one release.
pub struct Actor {
    shared: Arc<SharedState>,
    id: ReleaseId,
    latest: Latest,
    signals: Arc<Signals>,
    mailbox: Arc<Mailbox>,
    caches: Caches,
    status: LastStatus,
    /// The release as its run sees it.
    opened: Option<(Arc<KeptRelease>, Arc<ObservedRelease>)>,
    failures: u32,
    /// Runs in a row that waited for something else.
    waits: u32,
    /// Runs in a row that found objects still terminating.
    lingered: u32,
    drift: DriftMode,
    spec: Spec,
    health_watch: HealthWatch,
    /// That of the run that is about to begin.
    place: Option<RunPlace>,
    /// When the current run began.
    began: Instant,
}

/// What happens after a run.
enum Next {
    /// Wait for a signal, or this long.
    Wait(Option<Duration>),
    /// The release is gone.
    Over,
}

impl Actor {
    /// A new release. `caches` may have its inventory already.
    pub fn new(shared: Arc<SharedState>, latest: Latest, signals: Arc<Signals>, caches: Caches) -> Self {
        let (id, mailbox, status) = (latest.get().id.clone(), shared.news.mailbox(), LastStatus::default());
        let (drift, began) = (DriftMode::Correct, Instant::now());
        let (failures, waits, lingered, health_watch) = (0, 0, 0, HealthWatch::default());
        let (spec, place) = (Spec::default(), None);
        Self {
            shared,
            id,
            latest,
            signals,
            mailbox,
            caches,
            status,
            opened: None,
            failures,
            waits,
            lingered,
            drift,
            spec,
            health_watch,
            place,
            began,
        }
    }

    /// Runs until the release is gone or the process ends. A box: a future has room for its arguments twice.
    pub async fn live(mut self: Box<Self>) {
        let mut trigger = Trigger::Full;
        let mut due = None;
        loop {
            let (pool, signals) = (self.shared.pool.clone(), Arc::clone(&self.signals));
            self.place = tokio::select! {
                biased;
                place = pool.begin(&self.id.namespace) => Some(place),
                () = signals.stopped() => return Box::pin(self.give_away()).await,
            };
            // This run handles all signals until now: also a requested run that came after the
            // decision to check only objects.
            if self.signals.take_superseded() {
                trigger = Trigger::Full;
            }
            self.signals.take_touched();
            // The future of a run is large: it lives on the heap, and only as long as the run.
            match Box::pin(self.run(trigger)).await {
                Next::Over => return,
                Next::Wait(delay) => {
                    self.place = None;
                    let next = delay.map(|d| Instant::now() + d);
                    due = match trigger {
                        Trigger::Full => next,
                        // Drift corrections do not delay the next request to the registry.
                        Trigger::Objects | Trigger::Restore => due.into_iter().chain(next).min(),
                    };
                    match self.wait(due).await {
                        Some(why) => trigger = why,
                        None => return Box::pin(self.give_away()).await,
                    }
                }
            }
        }
    }

    async fn run(&mut self, trigger: Trigger) -> Next {
        // It was read before.
        let Some(seen) = self.look() else { return Next::Wait(None) };
        // The span has the level of errors, so that no RUST_LOG removes the release's name from its
        // lines.
        let span = tracing::error_span!(
            "reconcile",
            release = %self.id,
            revision = tracing::field::Empty,
            trace_id = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        );
        span.record("trace_id", traces::trace_id(&span));
        async {
            self.began = Instant::now();
            let next = match seen.resource.metadata.deletion_timestamp {
                Some(_) => Box::pin(self.end(&seen)).await,
                None => self.reconcile(&seen, trigger).await,
            };
            self.shared.env.metrics.phase(Phase::Total, self.began.elapsed());
            next
        }
        .instrument(span)
        .await
    }

    async fn reconcile(&mut self, seen: &Arc<ObservedRelease>, trigger: Trigger) -> Next {
        let (shared, signals) = (Arc::clone(&self.shared), Arc::clone(&self.signals));
        let read = tokio::select! {
            biased;
            read = shared.specs.read_for_run(&mut self.spec, seen, &shared.pool, &mut self.place) => read,
            () = signals.superseded() => return Next::Wait(Some(Duration::ZERO)),
        };
        let parsed = match read {
            Ok(parsed) => parsed,
            Err(error) => return Box::pin(self.refuse(seen, &error)).await,
        };
        let release = Arc::clone(&parsed.release);
        self.drift = release.drift;
        if let Err(error) = Box::pin(self.add_finalizer(&seen.resource)).await {
            if error.is_not_found() {
                return Next::Wait(None);
            }
            // The newer version arrives by the watch; otherwise retry.
            tracing::debug!(error = chain(&error), "cannot set the finalizer");
            let changed = error.is_conflict();
            return Next::Wait(Some(if changed { FINALIZER_RETRY } else { STATUS_RETRY }));
        }
        let (status, place) = (Arc::clone(self.status.open()), self.place.take());
        let (env, pool, signals) = (&shared.env, &shared.pool, &*signals);
        let request = OperatorRequest { env, pool, release: &release, trigger, signals, status, place };
        let (outcome, status, complete) = request.reconcile(&mut self.caches).await;
        let judged = status.quarantine.clone();
        self.status.set(status);
        let release = complete.map_or(release, Arc::new);
        let written = Box::pin(self.report(&release, &outcome)).await;
        let quarantine = &self.status.open().quarantine;
        let has_judged = *quarantine != judged && !quarantine.is_empty();
        if outcome.verdict == Verdict::Superseded || has_judged {
            // Once the verdict is in the status, what follows from it does not wait.
            return Next::Wait(Some(Duration::ZERO));
        }
        let delay = self.pace(&release, &outcome, release.suspend);
        self.health_watch.resume(self.resting(&parsed, &release));
        if written { Next::Wait(delay) } else { Next::Wait(Some(STATUS_RETRY)) }
    }

    /// When to run again without a signal.
    fn pace(&mut self, release: &Release, outcome: &Outcome, asleep: bool) -> Option<Duration> {
        if !matches!(outcome.verdict, Verdict::Waiting { .. } | Verdict::AsBefore) {
            self.waits = 0;
        }
        let pace = RunIntervals { interval: release.interval, retry_interval: release.retry_interval };
        let ended = match &outcome.verdict {
            // A single requested run; nothing follows.
            _ if asleep => Ended::Suspended,
            Verdict::AsBefore => return None,
            // The health watch notices when they are healthy again.
            Verdict::Failed { reason: Reason::Unhealthy | Reason::RolledBack, .. } => Ended::Well,
            // The release continues at a known time, or when another release has changed, or when a
            // person has decided. Until then, the registry is asked at the interval.
            Verdict::Waiting { reason, .. }
                if reason.is_of_arrival() || *reason == Reason::ApprovalRequired =>
            {
                Ended::Well
            }
            // What it waits for notifies it. This is a fallback.
            Verdict::Waiting { reason, .. } => {
                self.waits = self.waits.saturating_add(1);
                Ended::Failed { disposition: reason.disposition(), failures: self.waits }
            }
            Verdict::Failed { reason, .. } => {
                self.failures = self.failures.saturating_add(1);
                Ended::by(*reason, self.failures)
            }
            // The applied revision is kept, but the registry is asked again sooner.
            Verdict::Ready { .. } if self.caches.registry.stale.is_some() => {
                self.failures = self.failures.saturating_add(1);
                Ended::Failed { disposition: Disposition::Retry, failures: self.failures }
            }
            Verdict::Ready { .. } | Verdict::Suspended | Verdict::Superseded => {
                self.failures = 0;
                Ended::Well
            }
        };
        let delay = next(ended, pace, fastrand::f64()).map(|delay| self.shared.together(delay));
        let opens = outcome.wake_at.map(|at| {
            let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            left + AFTER_OPENING
        });
        let delay = delay.map(|d| opens.map_or(d, |opens| d.min(opens)));
        // If it is in the past, wait for the same error again.
        let verified = self.caches.trust.trusted.as_ref().map(|t| t.due.duration_since(Instant::now()));
        let verified = verified.filter(|left| !left.is_zero());
        let delay = delay.map(|d| verified.map_or(d, |v| d.min(v)));
        // The watch shows when terminating objects are gone; this is a fallback.
        let lingers = matches!(outcome.verdict, Verdict::Ready { .. })
            && self.caches.cluster.inventory.applied.is_none();
        self.lingered = if lingers { self.lingered.saturating_add(1) } else { 0 };
        let look = backoff(STATUS_RETRY, release.interval, self.lingered);
        if lingers { delay.map(|d| d.min(look)) } else { delay }
    }

    /// Writes the status if it differs, and publishes events; returns whether the status is
    /// written.
    async fn report(&mut self, release: &Release, outcome: &Outcome) -> bool {
        let last = Arc::clone(self.status.open());
        let mut computed = status::compute(&last, release, outcome, Timestamp::now());
        let accepted = self.note_accepted(&mut computed);
        report::count(&self.shared.env.metrics, release, outcome, &computed);
        let differs = computed != *last;
        log::run(outcome, differs, self.began.elapsed());
        if let Verdict::Failed { .. } | Verdict::Waiting { .. } = outcome.verdict {
            tracing::Span::current().record("otel.status_code", "ERROR");
        }
        let session = &self.shared.env.session;
        if !differs {
            // Two corrections in a second have one status.
            report::publish_notes(session, release, outcome);
            self.tell();
            return true;
        }
        match session.write_status(&self.id, &release.uid, &computed).await {
            Ok(()) => {
                report::publish(session, release, outcome, &last, &computed);
                report::count_rollbacks(&self.shared.env.metrics, &last, &computed);
                self.status = Arc::new(computed).into();
                self.tell();
                true
            }
            Err(error) if error.is_not_found() => true,
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot write the status");
                self.mailbox.put_back(accepted);
                false
            }
        }
    }

    /// A spec that is invalid: nothing runs until it changes.
    async fn refuse(&mut self, seen: &ObservedRelease, error: &InvalidSpec) -> Next {
        let Ok(release) = seen.placeholder() else { return Next::Wait(None) };
        let mut outcome = Outcome::failed(error.reason(), error.to_string());
        // They are about an earlier spec, which may come back.
        let last = self.status.open();
        (outcome.plan, outcome.held) = (last.plan.clone(), last.held_revision.clone());
        if outcome.plan.is_none() {
            // A release that keeps an object for it would wait in vain.
            let env = &self.shared.env;
            env.wake(env.target.claims.want_nothing(&self.id));
            env.wake(env.clusters.want_nothing(&self.id));
        }
        // Nothing that it has depended on is of interest before the spec changes.
        self.shared.env.dependencies.kinds.forget(&self.id);
        self.shared.env.dependencies.unfollow(&self.id);
        if self.report(&release, &outcome).await { Next::Wait(None) } else { Next::Wait(Some(STATUS_RETRY)) }
    }

    /// The release is being deleted.
    async fn end(&mut self, seen: &ObservedRelease) -> Next {
        if !has_begun(&seen.resource) {
            return Next::Wait(None);
        }
        // Changes of terminating objects are waited for, whatever they meant before.
        self.drift = DriftMode::Correct;
        self.health_watch.end();
        let release = match seen.parse_leniently() {
            Ok(release) => release,
            Err(error) => return Box::pin(self.refuse(seen, &error)).await,
        };
        let (shared, trigger) = (Arc::clone(&self.shared), Trigger::Full);
        let (status, place) = (Arc::clone(self.status.open()), self.place.take());
        let (env, pool, signals) = (&shared.env, &shared.pool, &*self.signals);
        let request = OperatorRequest { env, pool, release: &release, trigger, signals, status, place };
        let (result, status) = request.finalize(&mut self.caches).await;
        self.status.set(status);
        if !result.done {
            let written = self.report(&release, &result.outcome).await;
            // In any case: a person waits for the release to be gone.
            let delay = self.pace(&release, &result.outcome, false);
            let again = backoff(release.retry_interval, release.interval, self.failures);
            let delay = delay.map(|d| d.min(again));
            return Next::Wait(if written { delay } else { Some(STATUS_RETRY) });
        }
        report::count_finalized(&shared.env.metrics);
        log::finalized(&result.outcome, self.began.elapsed());
        report::publish_notes(&shared.env.session, &release, &result.outcome);
        match self.remove_finalizer().await {
            Ok(()) => self.leave(),
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot remove the finalizer");
                Next::Wait(Some(STATUS_RETRY))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function returns.
    fn of_future<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand releases rest at a time. What a run needs is on the heap, and only as long as the run: as a part of
    /// the future that waits, it would be there for ever.
    #[test]
    fn a_release_at_rest_is_small() {
        let (waits, keeps) = (of_future(Actor::live), size_of::<Actor>());
        assert!(waits <= 1024 && keeps <= 2048, "{waits} and {keeps} bytes");
    }

    /// Thousands of runs may wait for health at a time, for hours.
    #[test]
    fn a_run_that_waits_is_small() {
        fn of_run<'a, F: Future>(_: impl FnOnce(&'a mut Actor, Trigger) -> F) -> usize {
            size_of::<F>()
        }
        assert!(of_run(Actor::run) <= 5120, "{} bytes", of_run(Actor::run));
    }
}
