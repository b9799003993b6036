//! Metrics of webhooks.

use prometheus::{IntCounter, IntCounterVec};

use super::super::labels::{Load, WebhookResult, sender as named, senders};
use super::catalog::{WEBHOOK_LOADS, WEBHOOK_REQUESTS, WEBHOOK_TRIGGERS};
use super::make::{Children, Maker};
use crate::domain::webhook::receiver::Sender;

/// The metrics of webhooks.
pub(super) struct Webhooks {
    requests: IntCounterVec,
    triggers: IntCounter,
    loads: Children<Load, IntCounter>,
}

impl Webhooks {
    /// Every series exists from the start: the first wrong signature is an increase too.
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        let requests = make.counters(&WEBHOOK_REQUESTS)?;
        for sender in senders() {
            for result in WebhookResult::ALL {
                let _ = requests.with_label_values(&[sender, result.as_str()]);
            }
        }
        let triggers = make.counter(&WEBHOOK_TRIGGERS)?;
        Ok(Self { requests, triggers, loads: make.closed_counters(&WEBHOOK_LOADS)? })
    }

    pub fn webhook_request(&self, sender: Option<Sender>, result: WebhookResult) {
        self.requests.with_label_values(&[named(sender), result.as_str()]).inc();
    }

    pub fn webhook_triggered(&self, count: usize) {
        self.triggers.inc_by(count as u64);
    }

    pub fn webhooks_loaded(&self, result: Load) {
        self.loads.with(result, IntCounter::inc);
    }
}
