//! The time of the phases of a run, counted when it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::labels::Phase;
use super::super::span::What;
use super::super::traces;
use super::recorder::Metrics;

/// The time that one run spends in its phases. It is counted when this is dropped: once for a run,
/// for any number of parts of a phase.
#[derive(Debug)]
pub struct PhaseTimer {
    metrics: Arc<Metrics>,
    phases: Mutex<[Option<Duration>; Phase::ALL.len()]>,
}

impl PhaseTimer {
    /// An empty timer.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), phases: Mutex::new([None; Phase::ALL.len()]) }
    }

    /// Adds the time of a part of a phase.
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
}
