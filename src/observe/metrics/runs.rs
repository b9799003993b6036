//! What runs do, and how long it takes them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::super::labels::{Action, Outcome, Phase};
use super::super::traces::{self, What};
use super::catalog::{DRIFT_CORRECTED, DRIFT_DETECTED, HEALTH_WAITS, OBJECTS, RECONCILE_SECONDS, RECONCILES};
use super::make::{Children, Maker};
use super::recorder::Metrics;
use crate::api::reason::Reason;

/// The metrics of runs.
pub(super) struct Runs {
    reconciles: IntCounterVec,
    phases: Children<Phase, Histogram>,
    objects: Children<Action, IntCounter>,
    drift_detected: IntCounter,
    drift_corrected: IntCounter,
    health_waits: IntGauge,
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
        })
    }
}

impl Metrics {
    /// A run of a release has ended.
    pub fn reconciled(&self, outcome: Outcome, reason: Reason) {
        self.runs.reconciles.with_label_values(&[outcome.as_str(), reason.as_str()]).inc();
    }

    /// A phase of a run has taken this long.
    pub fn phase(&self, phase: Phase, took: Duration) {
        self.runs.phases.with(phase, |h| h.observe(took.as_secs_f64()));
    }

    /// This became of so many objects.
    pub fn objects(&self, action: Action, count: usize) {
        self.runs.objects.with(action, |c| c.inc_by(count as u64));
    }

    /// So many objects were found changed.
    pub fn drift_detected(&self, count: usize) {
        self.runs.drift_detected.inc_by(count as u64);
    }

    /// So many changed objects were put back.
    pub fn drift_corrected(&self, count: usize) {
        self.runs.drift_corrected.inc_by(count as u64);
    }

    /// A release begins to wait for health, which ends when what is returned is
    /// dropped.
    pub fn waits_for_health(&self) -> HealthWait {
        let waits = self.runs.health_waits.clone();
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

/// What one run spends on its phases. It is counted when this is dropped: once for a
/// run, however many pieces a phase had.
#[derive(Debug)]
pub struct PhaseTimer {
    metrics: Arc<Metrics>,
    phases: Mutex<[Option<Duration>; Phase::ALL.len()]>,
}

impl PhaseTimer {
    /// Nothing yet.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), phases: Mutex::new([None; Phase::ALL.len()]) }
    }

    /// A piece of a phase has taken this long.
    pub fn add(&self, phase: Phase, took: Duration) {
        // The whole run has a span already.
        if phase != Phase::Total {
            traces::ended(What::Phase(phase.as_str()), took);
        }
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spent) = phases.get_mut(phase as usize) {
            *spent = Some(spent.unwrap_or_default() + took);
        }
    }
}

impl Drop for PhaseTimer {
    fn drop(&mut self) {
        let phases = self.phases.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (phase, spent) in Phase::ALL.iter().zip(phases) {
            if let Some(took) = spent {
                self.metrics.phase(*phase, *took);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_in_pieces_counts_once() {
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let spent = PhaseTimer::new(&metrics);
        spent.add(Phase::Apply, Duration::from_millis(500));
        spent.add(Phase::Apply, Duration::from_millis(1500));
        spent.add(Phase::Plan, Duration::ZERO);
        drop(spent);
        let text = metrics.expose().unwrap();
        for line in [
            "supercargo_reconcile_duration_seconds_sum{phase=\"apply\"} 2",
            "supercargo_reconcile_duration_seconds_count{phase=\"apply\"} 1",
            "supercargo_reconcile_duration_seconds_count{phase=\"plan\"} 1",
            "supercargo_reconcile_duration_seconds_count{phase=\"prune\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn waits_are_counted_while_they_last() {
        let metrics = Metrics::new("1.2.3").unwrap();
        let waits = [metrics.waits_for_health(), metrics.waits_for_health()];
        assert!(metrics.expose().unwrap().contains("\nsupercargo_health_waits 2\n"));
        drop(waits);
        assert!(metrics.expose().unwrap().contains("\nsupercargo_health_waits 0\n"));
    }
}
