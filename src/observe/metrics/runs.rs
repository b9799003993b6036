//! Metrics of runs.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::super::labels::{Action, Phase, RollbackResult, RunResult, StepResult, VerdictSource};
use super::catalog::{
    DRIFT_CORRECTED, DRIFT_DETECTED, HEALTH_WAITS, OBJECTS, RECONCILE_SECONDS, RECONCILES, ROLLBACKS, STEPS,
    VERDICT_SECONDS,
};
use super::make::{Children, Maker};
use crate::api::reason::Reason;

/// The metrics of runs.
pub(super) struct Runs {
    reconciles: IntCounterVec,
    phases: Children<Phase, Histogram>,
    objects: Children<Action, IntCounter>,
    drift_detected: IntCounter,
    drift_corrected: IntCounter,
    health_waits: IntGauge,
    verdicts: Children<VerdictSource, Histogram>,
    steps: Children<StepResult, IntCounter>,
    rollbacks: Children<RollbackResult, IntCounter>,
}

impl Runs {
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            reconciles: make.counters(&RECONCILES)?,
            phases: make.closed_histograms(&RECONCILE_SECONDS)?,
            objects: make.closed_counters(&OBJECTS)?,
            drift_detected: make.counter(&DRIFT_DETECTED)?,
            drift_corrected: make.counter(&DRIFT_CORRECTED)?,
            health_waits: make.gauge(&HEALTH_WAITS)?,
            verdicts: make.closed_histograms(&VERDICT_SECONDS)?,
            steps: make.closed_counters(&STEPS)?,
            rollbacks: make.closed_counters(&ROLLBACKS)?,
        })
    }

    pub fn reconciled(&self, outcome: RunResult, reason: Reason) {
        self.reconciles.with_label_values(&[outcome.as_str(), reason.as_str()]).inc();
    }

    pub fn phase(&self, phase: Phase, took: Duration) {
        self.phases.with(phase, |h| h.observe(took.as_secs_f64()));
    }

    pub fn objects(&self, action: Action, count: usize) {
        self.objects.with(action, |c| c.inc_by(count as u64));
    }

    pub fn step(&self, result: StepResult) {
        self.steps.with(result, IntCounter::inc);
    }

    pub fn rollback(&self, result: RollbackResult) {
        self.rollbacks.with(result, IntCounter::inc);
    }

    pub fn drift_detected(&self, count: usize) {
        self.drift_detected.inc_by(count as u64);
    }

    pub fn drift_corrected(&self, count: usize) {
        self.drift_corrected.inc_by(count as u64);
    }

    pub fn wait_failed(&self, source: VerdictSource, after: Duration) {
        self.verdicts.with(source, |h| h.observe(after.as_secs_f64()));
    }

    pub fn waits_for_health(&self) -> HealthWait {
        let waits = self.health_waits.clone();
        waits.inc();
        HealthWait { waits }
    }
}

/// A wait for health, until it is dropped.
#[derive(Debug)]
pub struct HealthWait {
    waits: IntGauge,
}

impl Drop for HealthWait {
    fn drop(&mut self) {
        self.waits.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::Metrics;

    #[test]
    fn waits_are_counted_while_they_last() {
        let metrics = Metrics::new("1.2.3").unwrap();
        let waits = [metrics.waits_for_health(), metrics.waits_for_health()];
        assert!(metrics.expose().unwrap().contains("\nsupercargo_health_waits 2\n"));
        drop(waits);
        assert!(metrics.expose().unwrap().contains("\nsupercargo_health_waits 0\n"));
    }
}
