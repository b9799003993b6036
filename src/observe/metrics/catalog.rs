//! Every metric: its name, its labels with their possible values, and its meaning. The metrics and
//! the tables of docs/metrics.md are made from it.

use super::super::labels::{
    Action, Answer, BuildResult, CacheResult, Handover, Label, Load, Method, NewsResult, Phase, ReadyState,
    RollbackResult, RunResult, StepResult, Verb, VerdictSource, Verification, WaitingGate, WebhookResult,
    receiver_types, senders,
};
use super::bounds::{API_BOUNDS, Bound, PHASE_BOUNDS, REGISTRY_BOUNDS, VERDICT_BOUNDS};

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricEntry {
    /// With its prefix.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: MetricKind,
    /// Its labels, in the order of their values.
    pub labels: Labels,
    /// What it means, one sentence or more.
    pub help: &'static str,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that grows until the process ends.
    Counter,
    /// A current value.
    Gauge,
    /// Durations, counted in buckets up to these seconds.
    Histogram(&'static [Bound]),
}

impl MetricKind {
    /// The word of the text format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// What values a label may have.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These.
    Closed(fn() -> Vec<&'static str>),
    /// A `Reason`.
    Reason,
    /// As described here, with a bound.
    Bounded(&'static str),
}

fn words<L: Label>() -> Vec<&'static str> {
    L::ALL.iter().map(|label| label.as_str()).collect()
}

type Labels = &'static [(&'static str, Values)];

const fn counter(name: &'static str, labels: Labels, help: &'static str) -> MetricEntry {
    MetricEntry { name, kind: MetricKind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: Labels, help: &'static str) -> MetricEntry {
    MetricEntry { name, kind: MetricKind::Gauge, labels, help }
}

pub(super) const BUILD_INFO: MetricEntry = gauge(
    "supercargo_build_info",
    &[("version", Values::Bounded("the version of the running program"))],
    "Always 1; the version is a label.",
);
pub(super) const LEADER: MetricEntry =
    gauge("supercargo_leader", &[], "1 while this replica holds the lease, else 0.");

pub(super) const REPLICAS: MetricEntry = gauge(
    "supercargo_replicas",
    &[],
    "Replicas that share the releases, as this one sees them; 0 where only the leader works.",
);
pub(super) const MOVES: MetricEntry = counter(
    "supercargo_handovers_total",
    &[("direction", Values::Closed(words::<Handover>))],
    "Releases that this replica has taken from one that is gone, and those that it has given to another one.",
);

pub(super) const RECONCILES: MetricEntry = counter(
    "supercargo_reconciles_total",
    &[("outcome", Values::Closed(RunResult::words)), ("reason", Values::Reason)],
    "Reconcile runs, by outcome (success, or how the failure is handled) and reason.",
);
pub(super) const RECONCILE_SECONDS: MetricEntry = MetricEntry {
    name: "supercargo_reconcile_duration_seconds",
    kind: MetricKind::Histogram(PHASE_BOUNDS),
    labels: &[("phase", Values::Closed(words::<Phase>))],
    help: "Duration of reconcile runs, by phase, once per run that had the phase, failed runs included; \
           total is the whole run, including waits for a free worker.",
};
pub(super) const OBJECTS: MetricEntry = counter(
    "supercargo_objects_total",
    &[("action", Values::Closed(words::<Action>))],
    "Objects in runs that changed something, by result.",
);
pub(super) const DRIFT_DETECTED: MetricEntry = counter(
    "supercargo_drift_detected_total",
    &[],
    "Objects found changed or deleted by another client, counted once until they are corrected.",
);
pub(super) const DRIFT_CORRECTED: MetricEntry = counter(
    "supercargo_drift_corrected_total",
    &[],
    "Objects changed or deleted by another client, and corrected.",
);
pub(super) const HEALTH_WAITS: MetricEntry =
    gauge("supercargo_health_waits", &[], "Releases that are waiting for their objects to become healthy.");
pub(super) const VERDICT_SECONDS: MetricEntry = MetricEntry {
    name: "supercargo_failure_verdict_seconds",
    kind: MetricKind::Histogram(VERDICT_BOUNDS),
    labels: &[("source", Values::Closed(words::<VerdictSource>))],
    help: "Time from the beginning of a wait for health to the first verdict that it fails, by what said so.",
};
pub(super) const QUEUE_DEPTH: MetricEntry = gauge(
    "supercargo_queue_depth",
    &[],
    "Releases that are due and waiting for a free worker (--concurrency).",
);
pub(super) const QUEUE_AGE: MetricEntry = gauge(
    "supercargo_queue_oldest_age_seconds",
    &[],
    "How long the first release in the queue has waited for a free worker; 0 when the queue is empty.",
);

pub(super) const RELEASES: MetricEntry = gauge(
    "supercargo_releases",
    &[("ready", Values::Closed(words::<ReadyState>))],
    "Releases that this replica reconciles, by the status of Ready; Suspended when spec.suspend is true, \
     with any status of Ready.",
);
pub(super) const WAITING: MetricEntry = gauge(
    "supercargo_releases_waiting",
    &[("gate", Values::Closed(words::<WaitingGate>))],
    "Releases that this replica reconciles and that wait, by what holds them: a plan that a person has to approve, dependencies that are not ready, dependents \
     that are deleted first, a downgrade that the spec does not allow, a revision that has failed and is quarantined, a window of the schedule, the age of a revision, \
     another release that has to have the revision first, the quota of the namespace, or spec.suspend.",
);
pub(super) const INVENTORY_ENTRIES: MetricEntry = gauge(
    "supercargo_inventory_entries",
    &[],
    "Objects in the inventories of the releases that this replica reconciles.",
);
pub(super) const LAST_SUCCESS: MetricEntry = gauge(
    "supercargo_last_success_timestamp_seconds",
    &[],
    "When the last run of any release succeeded, in Unix time; absent until one has. After a restart it is \
     read from the statuses, see supercargo_release_last_success_timestamp_seconds.",
);

pub(super) const STEPS: MetricEntry = counter(
    "supercargo_steps_total",
    &[("outcome", Values::Closed(words::<StepResult>))],
    "Runs of steps of revisions: those that have started, and those that have ended, by outcome.",
);

pub(super) const ROLLBACKS: MetricEntry = counter(
    "supercargo_rollbacks_total",
    &[("result", Values::Closed(words::<RollbackResult>))],
    "Revisions that have failed and were not retried: those that were replaced by the last healthy one, and those after \
     which nothing more is written.",
);

const NAMESPACE: (&str, Values) = ("release_namespace", Values::Bounded("its namespace"));
const NAME: (&str, Values) = ("release", Values::Bounded("its name"));

pub(super) const RELEASE_INFO: MetricEntry = gauge(
    "supercargo_release_info",
    &[
        NAME,
        NAMESPACE,
        (
            "attempted_revision",
            Values::Bounded(
                "`status.lastAttemptedRevision`: another one than `revision` while a new one is refused, waits or is applied",
            ),
        ),
        (
            "generation",
            Values::Bounded("`status.observedGeneration`, another one after each edit of the spec"),
        ),
        ("revision", Values::Bounded("`status.lastAppliedRevision`, empty until there is one")),
        (
            "signer",
            Values::Bounded(
                "who signed the artifact of the last attempt, the first of `status.artifact.verifiedBy`, at most 128 bytes; empty when no signature is required",
            ),
        ),
    ],
    "Always 1; the attempted revision, the generation of the spec, the applied revision and the signer of the artifact are labels.",
);
pub(super) const RELEASE_READY: MetricEntry = gauge(
    "supercargo_release_ready",
    &[("reason", Values::Reason), NAME, NAMESPACE],
    "1 if Ready is True, else 0; the reason of Ready is a label.",
);
pub(super) const RELEASE_READY_SINCE: MetricEntry = gauge(
    "supercargo_release_ready_transition_timestamp_seconds",
    &[NAME, NAMESPACE],
    "Since when Ready has its status (True, False or Unknown), in Unix time; absent until it has one. It is that of the \
     status, also after a restart.",
);
pub(super) const RELEASE_SUSPENDED: MetricEntry =
    gauge("supercargo_release_suspended", &[NAME, NAMESPACE], "1 if spec.suspend is true, else 0.");
pub(super) const RELEASE_DRIFTED: MetricEntry = gauge(
    "supercargo_release_drifted",
    &[NAME, NAMESPACE],
    "1 if Drifted is True: objects differ from what was applied and are not corrected, or not any more; else 0.",
);
pub(super) const RELEASE_LAST_SUCCESS: MetricEntry = gauge(
    "supercargo_release_last_success_timestamp_seconds",
    &[NAME, NAMESPACE],
    "When its last run succeeded, in Unix time; absent until one has. After a restart of the controller, until \
     its first run: since when Ready is True, or the last successful apply in status.history.",
);
pub(super) const RELEASE_APPROVAL: MetricEntry = gauge(
    "supercargo_release_approval_requested_timestamp_seconds",
    &[NAME, NAMESPACE],
    "Since when its plan waits for approval, in Unix time; absent while none waits.",
);
pub(super) const RELEASE_ENTRIES: MetricEntry =
    gauge("supercargo_release_inventory_entries", &[NAME, NAMESPACE], "Objects in its inventory.");

pub(super) const REGISTRY_REQUESTS: MetricEntry = counter(
    "supercargo_registry_requests_total",
    &[("host", HOST), ("method", Values::Closed(words::<Method>)), ("code", Values::Closed(Answer::words))],
    "Requests to registries and their token services, by host, method and answer (none: no answer).",
);
const HOST: Values = Values::Bounded(
    "host and port; the first 50 that have answered since the start; all others, also those that have not \
     answered since, are `other`",
);
pub(super) const REGISTRY_SECONDS: MetricEntry = MetricEntry {
    name: "supercargo_registry_request_duration_seconds",
    kind: MetricKind::Histogram(REGISTRY_BOUNDS),
    labels: &[("host", HOST)],
    help: "Time until registries answered, without the body.",
};
pub(super) const CACHE_REQUESTS: MetricEntry = counter(
    "supercargo_cache_requests_total",
    &[("result", Values::Closed(words::<CacheResult>))],
    "Lookups in the content cache, by result.",
);
pub(super) const CACHE_BYTES: MetricEntry =
    gauge("supercargo_cache_size_bytes", &[], "Size of the content cache on disk.");
pub(super) const BUILDS: MetricEntry = counter(
    "supercargo_builds_total",
    &[("result", Values::Closed(words::<BuildResult>))],
    "Builds of kustomizations, by result. How long they took is the phase `build` of the reconcile runs.",
);
pub(super) const API_REQUESTS: MetricEntry = counter(
    "supercargo_api_requests_total",
    &[("verb", Values::Closed(words::<Verb>)), ("code", Values::Closed(Answer::words))],
    "Requests to the API server, by verb and answer (none: no answer).",
);
pub(super) const API_SECONDS: MetricEntry = MetricEntry {
    name: "supercargo_api_request_duration_seconds",
    kind: MetricKind::Histogram(API_BOUNDS),
    labels: &[("verb", Values::Closed(words::<Verb>))],
    help: "Time until the API server had sent the whole answer; for a watch, until it was opened.",
};

pub(super) const REMOTE_CLUSTERS: MetricEntry =
    gauge("supercargo_remote_clusters", &[], "Connections to other clusters (spec.kubeConfig).");
pub(super) const REMOTE_AWAY: MetricEntry = gauge(
    "supercargo_remote_clusters_unreachable",
    &[],
    "Connections to other clusters whose API server does not answer now.",
);
pub(super) const REMOTE_REQUESTS: MetricEntry = counter(
    "supercargo_remote_api_requests_total",
    &[("verb", Values::Closed(words::<Verb>))],
    "Requests to the API servers of other clusters, by verb.",
);

pub(super) const VERIFICATIONS: MetricEntry = counter(
    "supercargo_verifications_total",
    &[("result", Values::Closed(words::<Verification>)), ("reason", Values::Reason)],
    "Verifications of artifacts, by result (unknown: cannot read the signatures) and reason.",
);
pub(super) const POLICY_LOADS: MetricEntry = counter(
    "supercargo_trust_policy_loads_total",
    &[("result", Values::Closed(words::<Load>))],
    "Loads of new versions of the trust policy; after a failed load the previous version stays in use.",
);
pub(super) const TRUSTED_ROOT: MetricEntry = gauge(
    "supercargo_trusted_root_newest_timestamp_seconds",
    &[],
    "Start of validity of the newest part of the trusted root for keyless signatures, in Unix time.",
);

pub(super) const WEBHOOK_REQUESTS: MetricEntry = counter(
    "supercargo_webhook_requests_total",
    &[("sender", Values::Closed(senders)), ("result", Values::Closed(words::<WebhookResult>))],
    "Webhook requests, by sender and result.",
);
pub(super) const WEBHOOK_LOADS: MetricEntry = counter(
    "supercargo_webhook_config_loads_total",
    &[("result", Values::Closed(words::<Load>))],
    "Loads of new versions of the webhook configuration; after a failed load the previous version stays in use.",
);
pub(super) const WEBHOOK_TRIGGERS: MetricEntry =
    counter("supercargo_webhook_triggers_total", &[], "Reconcile runs requested by webhooks.");

pub(super) const NEWS: MetricEntry = counter(
    "supercargo_notifications_total",
    &[("type", Values::Closed(receiver_types)), ("result", Values::Closed(words::<NewsResult>))],
    "Notifications, by type of receiver and result; each attempt that is not accepted counts as retried.",
);
pub(super) const NEWS_AGE: MetricEntry = gauge(
    "supercargo_notifications_oldest_age_seconds",
    &[("type", Values::Closed(receiver_types))],
    "Age of the oldest notification that no receiver of the type has accepted yet.",
);
pub(super) const NEWS_LOADS: MetricEntry = counter(
    "supercargo_notify_config_loads_total",
    &[("result", Values::Closed(words::<Load>))],
    "Loads of new versions of the configuration of notifications; after a failed load the previous version stays in use.",
);

/// The standard metrics of Prometheus' libraries for a process.
const PROCESS: [MetricEntry; 7] = [
    counter("process_cpu_seconds_total", &[], "User and system time of the process."),
    gauge("process_max_fds", &[], "Maximum number of open file descriptors."),
    gauge("process_open_fds", &[], "Open file descriptors."),
    gauge("process_resident_memory_bytes", &[], "Resident memory."),
    gauge("process_start_time_seconds", &[], "Start time of the process, in Unix time."),
    gauge("process_threads", &[], "Threads of the process."),
    gauge("process_virtual_memory_bytes", &[], "Virtual memory."),
];

/// Metrics that are about something in common.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// The metrics.
    pub entries: &'static [MetricEntry],
}

/// Every metric.
pub const CATALOG: &[Group] = &[
    Group {
        title: "Runs",
        entries: &[
            RECONCILES,
            RECONCILE_SECONDS,
            OBJECTS,
            DRIFT_DETECTED,
            DRIFT_CORRECTED,
            HEALTH_WAITS,
            VERDICT_SECONDS,
            STEPS,
            ROLLBACKS,
            QUEUE_DEPTH,
            QUEUE_AGE,
        ],
    },
    Group { title: "All releases", entries: &[RELEASES, WAITING, INVENTORY_ENTRIES, LAST_SUCCESS] },
    Group { title: "Each release", entries: RELEASE },
    Group {
        title: "Registries",
        entries: &[REGISTRY_REQUESTS, REGISTRY_SECONDS, CACHE_REQUESTS, CACHE_BYTES],
    },
    Group { title: "Builds", entries: &[BUILDS] },
    Group { title: "Trust", entries: &[VERIFICATIONS, POLICY_LOADS, TRUSTED_ROOT] },
    Group { title: "Push", entries: &[WEBHOOK_REQUESTS, WEBHOOK_TRIGGERS, WEBHOOK_LOADS] },
    Group { title: "Notifications", entries: &[NEWS, NEWS_AGE, NEWS_LOADS] },
    Group { title: "The API server", entries: &[API_REQUESTS, API_SECONDS] },
    Group { title: "Other clusters", entries: &[REMOTE_CLUSTERS, REMOTE_AWAY, REMOTE_REQUESTS] },
    Group { title: "The process", entries: &[BUILD_INFO, LEADER, REPLICAS, MOVES] },
    Group { title: "The process, as Linux sees it", entries: &PROCESS },
];

/// The metrics with a series for each release.
pub(super) const RELEASE: &[MetricEntry] = &[
    RELEASE_INFO,
    RELEASE_READY,
    RELEASE_READY_SINCE,
    RELEASE_SUSPENDED,
    RELEASE_DRIFTED,
    RELEASE_LAST_SUCCESS,
    RELEASE_APPROVAL,
    RELEASE_ENTRIES,
];
