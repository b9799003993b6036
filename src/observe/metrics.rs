//! The metrics of the process. Who records names a value of [`super::labels`],
//! never a text; the names of the metrics are known only here.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Metric};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::labels::{
    Action, Answer, CacheResult, Label, Load, Method, Outcome, Phase, ReadyState, Verb, Verification,
};
use super::traces::{self, What};
use crate::api::reason::Reason;

/// Every name begins with it, those of the process collector apart.
const PREFIX: &str = "supercargo";
/// Registry hosts that get a label of their own; the releases choose them, and
/// those after the first so many share the label `other`.
const MAX_HOSTS: usize = 50;
/// Bytes of a host label: a DNS name and a port.
const MAX_HOST_LENGTH: usize = 260;
/// A run takes from a millisecond (nothing changed) to minutes (a wait).
const PHASE_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// A registry answers in milliseconds; one that is far or busy takes seconds.
const REGISTRY_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The metrics could not be set up or written out: a mistake in this module,
/// not something that happens to a release.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be gathered")]
pub struct MetricsError(#[from] prometheus::Error);

/// One per process, shared by reference. Every method is a few atomic
/// operations, and none fails.
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    phases: Children<Phase, prometheus::Histogram>,
    releases: Children<ReadyState, IntGauge>,
    objects: Children<Action, IntCounter>,
    drift_detected: IntCounter,
    drift_corrected: IntCounter,
    registry_requests: IntCounterVec,
    registry_seconds: Children<Method, prometheus::Histogram>,
    hosts: Mutex<BTreeSet<String>>,
    api_requests: IntCounterVec,
    verifications: IntCounterVec,
    policy_loads: Children<Load, IntCounter>,
    trusted_root: IntGauge,
    queue_depth: IntGauge,
    leader: IntGauge,
    cache_requests: Children<CacheResult, IntCounter>,
    cache_bytes: IntGauge,
}

/// The series of one metric by the positions of its label's values: recording
/// is an index, and every series is there from the start, at zero.
struct Children<L, M> {
    children: Vec<M>,
    label: std::marker::PhantomData<L>,
}

impl<L: Label, M: Metric + Clone> Children<L, M> {
    fn new<B: prometheus::core::MetricVecBuilder<M = M>>(vec: &prometheus::core::MetricVec<B>) -> Self {
        let children = L::ALL.iter().map(|value| vec.with_label_values(&[value.as_str()])).collect();
        Self { children, label: std::marker::PhantomData }
    }

    fn with(&self, label: L, record: impl FnOnce(&M)) {
        if let Some(child) = self.children.get(label.index()) {
            record(child);
        }
    }
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
        make.gauges("build_info", "Always 1; the version is a label.", &["version"])?
            .with_label_values(&[version])
            .set(1);
        let phases = make.histograms(
            "reconcile_duration_seconds",
            "Time that runs of releases took, by phase; total is the whole run.",
            "phase",
            PHASE_SECONDS,
        )?;
        let registry_seconds = make.histograms(
            "registry_request_duration_seconds",
            "Time until registries answered, the body not included.",
            "method",
            REGISTRY_SECONDS,
        )?;
        let releases = make.gauges("releases", "Releases, by the status of Ready.", &["ready"])?;
        let objects =
            make.counters("objects_total", "Objects, by what became of them in a run.", &["action"])?;
        let cache =
            make.counters("cache_requests_total", "Look-ups in the content cache, by result.", &["result"])?;
        let policy_loads = make.counters(
            "trust_policy_loads_total",
            "New versions of the trust policy; one that failed left the one before in force.",
            &["result"],
        )?;
        Ok(Self {
            reconciles: make.counters(
                "reconciles_total",
                "Runs of releases, by outcome (success, or what follows from the failure) and reason.",
                &["outcome", "reason"],
            )?,
            phases: Children::new(&phases),
            releases: Children::new(&releases),
            objects: Children::new(&objects),
            drift_detected: make.counter("drift_detected_total", "Objects found changed by someone else.")?,
            drift_corrected: make.counter("drift_corrected_total", "Changed objects that were put back.")?,
            registry_requests: make.counters(
                "registry_requests_total",
                "Requests to registries, by host (the first 50), method and answer.",
                &["host", "method", "code"],
            )?,
            registry_seconds: Children::new(&registry_seconds),
            hosts: Mutex::new(BTreeSet::new()),
            api_requests: make.counters(
                "api_requests_total",
                "Requests to the API server, by verb and answer.",
                &["verb", "code"],
            )?,
            verifications: make.counters(
                "verifications_total",
                "Verifications of artifacts, by result (unknown: the evidence could not be had) and reason.",
                &["result", "reason"],
            )?,
            policy_loads: Children::new(&policy_loads),
            trusted_root: make.gauge(
                "trusted_root_newest_timestamp_seconds",
                "When the newest part of the root began that keyless signatures are judged by.",
            )?,
            queue_depth: make.gauge("queue_depth", "Releases that are due and wait for a worker.")?,
            leader: make.gauge("leader", "1 while this replica holds the lease.")?,
            cache_requests: Children::new(&cache),
            cache_bytes: make.gauge("cache_size_bytes", "Size of the content cache.")?,
            registry: make.registry,
        })
    }

    /// A run of a release has ended.
    pub fn reconciled(&self, outcome: Outcome, reason: Reason) {
        self.reconciles.with_label_values(&[outcome.as_str(), reason.as_str()]).inc();
    }

    /// A phase of a run has taken this long.
    pub fn phase(&self, phase: Phase, took: Duration) {
        self.phases.with(phase, |h| h.observe(took.as_secs_f64()));
        // The whole run has a span already.
        if phase != Phase::Total {
            traces::ended(What::Phase(phase.as_str()), took);
        }
    }

    /// So many releases are in this state now.
    pub fn releases(&self, state: ReadyState, count: usize) {
        self.releases.with(state, |g| g.set(whole(count)));
    }

    /// This became of so many objects.
    pub fn objects(&self, action: Action, count: usize) {
        self.objects.with(action, |c| c.inc_by(count as u64));
    }

    /// So many objects were found changed.
    pub fn drift_detected(&self, count: usize) {
        self.drift_detected.inc_by(count as u64);
    }

    /// So many changed objects were put back.
    pub fn drift_corrected(&self, count: usize) {
        self.drift_corrected.inc_by(count as u64);
    }

    /// A registry has answered after this time, or has not. `host` may have a port.
    pub fn registry_request(&self, host: &str, method: Method, answer: Answer, took: Duration) {
        let status = answer.status();
        traces::ended(What::Registry { host, method: method.as_str(), status }, took);
        let host = if self.has_label(host) { host } else { "other" };
        self.registry_requests.with_label_values(&[host, method.as_str(), answer.as_str()]).inc();
        self.registry_seconds.with(method, |h| h.observe(took.as_secs_f64()));
    }

    /// The API server has answered, or has not.
    pub fn api_request(&self, verb: Verb, answer: Answer) {
        self.api_requests.with_label_values(&[verb.as_str(), answer.as_str()]).inc();
    }

    /// An artifact was verified, or was not.
    pub fn verified(&self, result: Verification, reason: Reason) {
        self.verifications.with_label_values(&[result.as_str(), reason.as_str()]).inc();
    }

    /// A new version of the trust policy was read.
    pub fn policy_loaded(&self, result: Load) {
        self.policy_loads.with(result, IntCounter::inc);
    }

    /// When the newest part of the default root began, in seconds of Unix time.
    pub fn trusted_root(&self, newest: Option<i64>) {
        self.trusted_root.set(newest.unwrap_or_default());
    }

    /// So many releases wait for a worker now.
    pub fn queue_depth(&self, depth: usize) {
        self.queue_depth.set(whole(depth));
    }

    /// Whether this replica holds the lease now.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The content cache was asked.
    pub fn cache_request(&self, result: CacheResult) {
        self.cache_requests.with(result, IntCounter::inc);
    }

    /// The content cache has this size now.
    pub fn cache_size(&self, bytes: u64) {
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Everything, in the text format of Prometheus.
    ///
    /// # Errors
    /// When the metrics contradict each other, which their names rule out.
    pub fn expose(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    fn has_label(&self, host: &str) -> bool {
        if host.len() > MAX_HOST_LENGTH {
            return false;
        }
        // A panic cannot leave the set half changed.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.contains(host) || (hosts.len() < MAX_HOSTS && hosts.insert(host.to_owned()))
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

struct Maker {
    registry: Registry,
}

impl Maker {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help).namespace(PREFIX), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help).namespace(PREFIX), labels)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        label: &str,
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).namespace(PREFIX).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, &[label])?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::with_opts(Opts::new(name, help).namespace(PREFIX))?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::with_opts(Opts::new(name, help).namespace(PREFIX))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Disposition;

    fn recorded() -> Metrics {
        let metrics = Metrics::new("1.2.3").unwrap();
        metrics.reconciled(Outcome::Success, Reason::ReconciliationSucceeded);
        metrics.reconciled(Outcome::Failure(Disposition::Stalled), Reason::InvalidSpec);
        metrics.phase(Phase::Render, Duration::from_millis(3));
        metrics.releases(ReadyState::Ready, 7);
        metrics.objects(Action::Pruned, 2);
        metrics.drift_detected(3);
        metrics.drift_corrected(2);
        metrics.registry_request(
            "r.example:5000",
            Method::Head,
            Answer::Status(200),
            Duration::from_millis(4),
        );
        metrics.api_request(Verb::DryRun, Answer::Nothing);
        metrics.verified(Verification::Refused, Reason::SignatureMissing);
        metrics.policy_loaded(Load::Failed);
        metrics.queue_depth(4);
        metrics.leader(true);
        metrics.cache_request(CacheResult::Miss);
        metrics.cache_size(4096);
        metrics
    }

    #[test]
    fn what_was_recorded_is_exposed() {
        let text = recorded().expose().unwrap();
        for line in [
            "supercargo_build_info{version=\"1.2.3\"} 1",
            "supercargo_reconciles_total{outcome=\"success\",reason=\"ReconciliationSucceeded\"} 1",
            "supercargo_reconciles_total{outcome=\"stalled\",reason=\"InvalidSpec\"} 1",
            "supercargo_reconcile_duration_seconds_count{phase=\"render\"} 1",
            "supercargo_reconcile_duration_seconds_count{phase=\"apply\"} 0",
            "supercargo_releases{ready=\"True\"} 7",
            "supercargo_objects_total{action=\"pruned\"} 2",
            "supercargo_objects_total{action=\"created\"} 0",
            "supercargo_drift_detected_total 3",
            "supercargo_drift_corrected_total 2",
            "supercargo_registry_requests_total{code=\"200\",host=\"r.example:5000\",method=\"HEAD\"} 1",
            "supercargo_registry_request_duration_seconds_count{method=\"HEAD\"} 1",
            "supercargo_api_requests_total{code=\"none\",verb=\"dry_run\"} 1",
            "supercargo_verifications_total{reason=\"SignatureMissing\",result=\"refused\"} 1",
            "supercargo_trust_policy_loads_total{result=\"failed\"} 1",
            "supercargo_trust_policy_loads_total{result=\"loaded\"} 0",
            "supercargo_queue_depth 4",
            "supercargo_leader 1",
            "supercargo_cache_requests_total{result=\"miss\"} 1",
            "supercargo_cache_size_bytes 4096",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let text = recorded().expose().unwrap();
        let helped: BTreeSet<_> = text
            .lines()
            .filter_map(|l| l.strip_prefix("# HELP ")?.split_once(' '))
            .map(|(name, _)| name)
            .collect();
        let mut types = 0;
        for line in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
            types += 1;
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(helped.contains(name), "{name} has no help text");
            assert!(
                name.starts_with("supercargo_") || name.starts_with("process_"),
                "{name} has another prefix"
            );
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
            let unit = ["_seconds", "_bytes"].iter().any(|unit| name.ends_with(unit));
            assert!(kind != "histogram" || unit, "{name} does not end with its base unit");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name} is not snake case");
            for unit in ["milli", "minute", "kilo", "mega"] {
                assert!(!name.contains(unit), "{name} is not in a base unit");
            }
        }
        assert!(types > 14, "{types} metrics");
    }

    #[test]
    fn hosts_share_a_label_after_the_first_fifty() {
        let metrics = Metrics::new("1.2.3").unwrap();
        let ask = |host: &str| {
            metrics.registry_request(host, Method::Get, Answer::Status(200), Duration::ZERO);
        };
        ask(&"x".repeat(MAX_HOST_LENGTH + 1));
        for n in 0..MAX_HOSTS + 20 {
            ask(&format!("registry-{n}.example"));
        }
        ask("registry-0.example");
        let text = metrics.expose().unwrap();
        let series = text.lines().filter(|l| l.starts_with("supercargo_registry_requests_total{")).count();
        assert_eq!(series, MAX_HOSTS + 1);
        assert!(text.contains("host=\"registry-0.example\",method=\"GET\"} 2"), "{text}");
        assert!(text.contains("host=\"other\",method=\"GET\"} 21"), "{text}");
    }
}
