//! How the releases are, for the metrics.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::identity::ReleaseId;
use crate::observe::labels::ReadyState;
use crate::observe::metrics::Metrics;

/// The state of every release.
pub struct Board {
    states: Mutex<HashMap<ReleaseId, ReadyState>>,
    metrics: Arc<Metrics>,
}

impl Board {
    /// An empty board.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { states: Mutex::default(), metrics }
    }

    /// A release is in a state, or gone.
    pub fn set(&self, release: &ReleaseId, state: Option<ReadyState>) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match state {
            Some(state) => states.insert(release.clone(), state),
            None => states.remove(release),
        };
        if before == state {
            return;
        }
        for counted in [before, state].into_iter().flatten() {
            self.metrics.releases(counted, states.values().filter(|s| **s == counted).count());
        }
    }
}
