//! The metrics together, and their text.

use prometheus::{IntGauge, Registry, TextEncoder};

use super::catalog::{BUILD_INFO, LEADER};
use super::fleet::Fleet;
use super::make::Maker;
use super::queue::Queue;
use super::requests::Requests;
use super::runs::Runs;
use super::trust::Trust;
use super::webhook::Webhooks;

/// The metrics could not be set up or written out: a mistake in this module,
/// not something that happens to a release.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be gathered")]
pub struct MetricsError(#[from] prometheus::Error);

/// One per process, shared by reference. Every method takes a few atomic
/// operations or a short lock, and none fails.
pub struct Metrics {
    registry: Registry,
    leader: IntGauge,
    pub(super) runs: Runs,
    pub(super) fleet: Fleet,
    pub(super) queue: Queue,
    pub(super) requests: Requests,
    pub(super) trust: Trust,
    pub(super) webhooks: Webhooks,
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
            runs: Runs::new(&make)?,
            fleet: Fleet::new(&make)?,
            queue: Queue::new(&make)?,
            requests: Requests::new(&make)?,
            trust: Trust::new(&make)?,
            webhooks: Webhooks::new(&make)?,
            registry: make.registry,
        })
    }

    /// Whether this replica holds the lease now. One that does not tells of no
    /// release.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        self.fleet.lead(leads);
    }

    /// Everything, in the text format of Prometheus.
    ///
    /// # Errors
    /// When the metrics contradict each other, which their names rule out.
    pub fn expose(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
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
