//! Other clusters: how many there are, and what is asked of them. Their addresses are no labels.

use prometheus::{IntCounter, IntGauge};

use super::super::labels::Verb;
use super::catalog::{REMOTE_AWAY, REMOTE_CLUSTERS, REMOTE_REQUESTS};
use super::make::{Children, Maker};

/// The metrics of other clusters.
pub(super) struct RemoteMetrics {
    clusters: IntGauge,
    away: IntGauge,
    requests: Children<Verb, IntCounter>,
}

impl RemoteMetrics {
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            clusters: make.gauge(&REMOTE_CLUSTERS)?,
            away: make.gauge(&REMOTE_AWAY)?,
            requests: make.closed_counters(&REMOTE_REQUESTS)?,
        })
    }

    pub fn appeared(&self) {
        self.clusters.inc();
    }

    pub fn gone(&self, was_away: bool) {
        self.clusters.dec();
        if was_away {
            self.away.dec();
        }
    }

    pub fn away(&self, is_away: bool) {
        if is_away { self.away.inc() } else { self.away.dec() }
    }

    pub fn request(&self, verb: Verb) {
        self.requests.with(verb, IntCounter::inc);
    }
}
