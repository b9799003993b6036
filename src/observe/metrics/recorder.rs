//! The metrics together: everything that can be recorded, and their text.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus::{IntCounter, IntGauge, Registry, TextEncoder};

use super::super::labels::{
    Action, Answer, BuildResult, CacheResult, Handover, Load, Method, NewsResult, Phase, RollbackResult,
    RunResult, StepResult, Verb, VerdictSource, Verification, WebhookResult,
};
use super::catalog::{BUILD_INFO, LEADER, MOVES, REPLICAS};
use super::fleet::Fleet;
use super::make::{Children, Maker};
use super::news::NewsMetrics;
use super::queue::{Queue, Waiting};
use super::remote::RemoteMetrics;
use super::requests::Requests;
use super::runs::{HealthWait, Runs};
use super::trust::Trust;
use super::webhook::Webhooks;
use crate::api::reason::Reason;
use crate::api::status::ReleaseStatus;
use crate::domain::identity::ReleaseId;
use crate::domain::notify::receiver::ReceiverType;
use crate::domain::webhook::receiver::Sender;

/// The metrics could not be set up or written: a bug in this module, not a problem of a release.
#[derive(Debug, thiserror::Error)]
#[error("cannot gather metrics")]
pub struct MetricsError(#[from] prometheus::Error);

/// One per process, shared by reference. Every method takes a few atomic
/// operations or a short lock, and none fails.
pub struct Metrics {
    registry: Registry,
    leader: IntGauge,
    replicas: IntGauge,
    moves: Children<Handover, IntCounter>,
    runs: Runs,
    fleet: Fleet,
    queue: Queue,
    requests: Requests,
    remote: RemoteMetrics,
    trust: Trust,
    webhooks: Webhooks,
    news: NewsMetrics,
}

impl Metrics {
    /// Sets up every metric; `version` is that of the running binary.
    ///
    /// # Errors
    /// When two metrics have one name or a name breaks the rules of Prometheus.
    pub fn new(version: &str) -> Result<Self, MetricsError> {
        let make = Maker { registry: Registry::new() };
        #[cfg(target_os = "linux")]
        make.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        make.labelled_gauge(&BUILD_INFO, &[version])?.set(1);
        Ok(Self {
            leader: make.gauge(&LEADER)?,
            replicas: make.gauge(&REPLICAS)?,
            moves: make.closed_counters(&MOVES)?,
            runs: Runs::new(&make)?,
            fleet: Fleet::new(&make)?,
            queue: Queue::new(&make)?,
            requests: Requests::new(&make)?,
            remote: RemoteMetrics::new(&make)?,
            trust: Trust::new(&make)?,
            webhooks: Webhooks::new(&make)?,
            news: NewsMetrics::new(&make)?,
            registry: make.registry,
        })
    }

    /// Whether this replica holds the lease of the leader now.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Whether this replica works on releases. Without that there are no series of releases.
    pub fn works(&self, works: bool) {
        self.fleet.work(works);
    }

    /// How many replicas share the releases.
    pub fn replicas(&self, count: usize) {
        self.replicas.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a release that has another owner now.
    pub fn release_moved(&self, direction: Handover) {
        self.moves.with(direction, IntCounter::inc);
    }

    /// All metrics, in the text format of Prometheus.
    ///
    /// # Errors
    /// When the metrics contradict each other, which their names prevent.
    pub fn expose(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    /// A run of a release has ended.
    pub fn reconciled(&self, outcome: RunResult, reason: Reason) {
        self.runs.reconciled(outcome, reason);
    }

    /// A phase of a run has taken this long.
    pub fn phase(&self, phase: Phase, took: Duration) {
        self.runs.phase(phase, took);
    }

    /// Counts objects by result.
    pub fn objects(&self, action: Action, count: usize) {
        self.runs.objects(action, count);
    }

    /// Counts the start or the end of a step.
    pub fn step(&self, result: StepResult) {
        self.runs.step(result);
    }

    /// Counts what became of a release whose new revision has failed.
    pub fn rollback(&self, result: RollbackResult) {
        self.runs.rollback(result);
    }

    /// Counts objects with drift.
    pub fn drift_detected(&self, count: usize) {
        self.runs.drift_detected(count);
    }

    /// Counts objects whose drift was corrected.
    pub fn drift_corrected(&self, count: usize) {
        self.runs.drift_corrected(count);
    }

    /// Counts a wait for health that failed after so long.
    pub fn wait_failed(&self, source: VerdictSource, after: Duration) {
        self.runs.wait_failed(source, after);
    }

    /// A release begins to wait for health, which ends when the returned value is dropped.
    pub fn waits_for_health(&self) -> HealthWait {
        self.runs.waits_for_health()
    }

    /// A release is due and begins to wait for a worker, which ends when the returned value is
    /// dropped.
    pub fn waits_for_a_place(&self) -> Waiting {
        self.queue.waits_for_a_place()
    }

    /// A registry has answered after this time, or has not. `host` may have a port.
    pub fn registry_request(&self, host: &str, method: Method, answer: Answer, took: Duration) {
        self.requests.registry_request(host, method, answer, took);
    }

    /// The API server has answered after this time, or has not.
    pub fn api_request(&self, verb: Verb, answer: Answer, took: Duration) {
        self.requests.api_request(verb, answer, took);
    }

    /// A kustomization was built, or not.
    pub fn build(&self, result: BuildResult) {
        self.requests.build(result);
    }

    /// A request was sent to the API server of another cluster.
    pub fn remote_api_request(&self, verb: Verb) {
        self.remote.request(verb);
    }

    /// There is a connection to another cluster.
    pub fn remote_cluster_appeared(&self) {
        self.remote.appeared();
    }

    /// There is one less, and it may have been away.
    pub fn remote_cluster_gone(&self, was_away: bool) {
        self.remote.gone(was_away);
    }

    /// Another cluster does not answer any more, or again.
    pub fn remote_cluster_away(&self, is_away: bool) {
        self.remote.away(is_away);
    }

    /// The content cache was used.
    pub fn cache_request(&self, result: CacheResult) {
        self.requests.cache_request(result);
    }

    /// The content cache has this size now.
    pub fn cache_size(&self, bytes: u64) {
        self.requests.cache_size(bytes);
    }

    /// Whether there are series of each release; there are unless this says no.
    pub fn each_release(&self, shown: bool) {
        self.fleet.each_release(shown);
    }

    /// A new release was seen, or a new one with the same name.
    pub fn release_appeared(&self, id: &ReleaseId, suspended: bool, status: &ReleaseStatus) {
        self.fleet.release_appeared(id, suspended, status);
    }

    /// Updates the series of a release; ignored if it is gone.
    pub fn release_reported(&self, id: &ReleaseId, suspended: bool, status: &ReleaseStatus) {
        self.fleet.release_reported(id, suspended, status);
    }

    /// A run of a release has succeeded.
    pub fn release_succeeded(&self, id: &ReleaseId, now: Timestamp) {
        self.fleet.release_succeeded(id, now);
    }

    /// A release is gone, and its series with it.
    pub fn release_gone(&self, id: &ReleaseId) {
        self.fleet.release_gone(id);
    }

    /// An artifact was verified, or was not.
    pub fn verified(&self, result: Verification, reason: Reason) {
        self.trust.verified(result, reason);
    }

    /// A new version of the trust policy was read.
    pub fn policy_loaded(&self, result: Load) {
        self.trust.policy_loaded(result);
    }

    /// When the newest part of the default root began, in seconds of Unix time.
    pub fn trusted_root(&self, newest: Option<i64>) {
        self.trust.trusted_root(newest);
    }

    /// A webhook request was handled. `None` for an unknown sender.
    pub fn webhook_request(&self, sender: Option<Sender>, result: WebhookResult) {
        self.webhooks.webhook_request(sender, result);
    }

    /// Counts releases that were triggered by webhooks.
    pub fn webhook_triggered(&self, count: usize) {
        self.webhooks.webhook_triggered(count);
    }

    /// A new version of the configuration was read.
    pub fn webhooks_loaded(&self, result: Load) {
        self.webhooks.webhooks_loaded(result);
    }

    /// What became of notifications.
    pub fn news(&self, kind: ReceiverType, result: NewsResult, count: usize) {
        self.news.news(kind, result, count);
    }

    /// Since when the oldest notification for a receiver waits, if any does.
    pub fn news_waiting(&self, kind: ReceiverType, receiver: &str, oldest: Option<Instant>) {
        self.news.waiting(kind, receiver, oldest);
    }

    /// A new version of the configuration of notifications was read.
    pub fn notify_loaded(&self, result: Load) {
        self.news.loaded(result);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "recorder/tests.rs"]
mod tests;
