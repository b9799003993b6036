//! Metrics of notifications.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec};

use super::super::labels::{Load, NewsResult};
use super::catalog::{NEWS, NEWS_AGE, NEWS_LOADS};
use super::make::{Children, Maker, descriptions, family, sample};
use crate::domain::notify::receiver::ReceiverType;

/// The metrics of notifications.
pub(super) struct NewsMetrics {
    sent: IntCounterVec,
    loads: Children<Load, IntCounter>,
    ages: Ages,
}

/// Since when the oldest notification waits, by type and name of the receiver.
#[derive(Clone)]
struct Ages {
    oldest: Arc<Mutex<BTreeMap<(&'static str, String), Instant>>>,
    descriptions: Arc<Vec<Desc>>,
}

impl NewsMetrics {
    /// Every series exists from the start.
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        let sent = make.counters(&NEWS)?;
        for kind in ReceiverType::ALL {
            for result in NewsResult::ALL {
                let _ = sent.with_label_values(&[kind.as_str(), result.as_str()]);
            }
        }
        let ages = Ages { oldest: Arc::default(), descriptions: Arc::new(descriptions(&[NEWS_AGE])?) };
        make.registry.register(Box::new(ages.clone()))?;
        Ok(Self { sent, loads: make.closed_counters(&NEWS_LOADS)?, ages })
    }

    pub fn news(&self, kind: ReceiverType, result: NewsResult, count: usize) {
        self.sent.with_label_values(&[kind.as_str(), result.as_str()]).inc_by(count as u64);
    }

    pub fn waiting(&self, kind: ReceiverType, receiver: &str, oldest: Option<Instant>) {
        let mut ages = self.ages.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind.as_str(), receiver.to_owned());
        match oldest {
            Some(oldest) => drop(ages.insert(key, oldest)),
            None => drop(ages.remove(&key)),
        }
    }

    pub fn loaded(&self, result: Load) {
        self.loads.with(result, IntCounter::inc);
    }
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let oldest = self.oldest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let samples = ReceiverType::ALL.iter().map(|kind| {
            let of_it = oldest.iter().filter(|((known, _), _)| *known == kind.as_str());
            let age = of_it.map(|(_, since)| since.elapsed().as_secs()).max().unwrap_or_default();
            sample(&NEWS_AGE, &[kind.as_str()], i64::try_from(age).unwrap_or(i64::MAX))
        });
        vec![family(&NEWS_AGE, samples.collect())]
    }
}
