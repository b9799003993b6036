//! Metrics of verifications and their rules.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::super::labels::{Load, Verification};
use super::catalog::{POLICY_LOADS, TRUSTED_ROOT, VERIFICATIONS};
use super::make::{Children, Maker};
use crate::api::reason::Reason;

/// The metrics of trust.
pub(super) struct Trust {
    verifications: IntCounterVec,
    policy_loads: Children<Load, IntCounter>,
    trusted_root: IntGauge,
}

impl Trust {
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            verifications: make.counters(&VERIFICATIONS)?,
            policy_loads: make.closed_counters(&POLICY_LOADS)?,
            trusted_root: make.gauge(&TRUSTED_ROOT)?,
        })
    }

    pub fn verified(&self, result: Verification, reason: Reason) {
        self.verifications.with_label_values(&[result.as_str(), reason.as_str()]).inc();
    }

    pub fn policy_loaded(&self, result: Load) {
        self.policy_loads.with(result, IntCounter::inc);
    }

    pub fn trusted_root(&self, newest: Option<i64>) {
        self.trusted_root.set(newest.unwrap_or_default());
    }
}
