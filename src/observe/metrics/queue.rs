//! The releases that wait for a worker, and since when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, Metric, MetricFamily};

use super::catalog::{QUEUE_AGE, QUEUE_DEPTH};
use super::make::{Maker, descriptions, family, sample, whole};

/// The queue.
#[derive(Clone)]
pub(super) struct Queue {
    line: Arc<Mutex<Line>>,
    descriptions: Arc<Vec<Desc>>,
}

#[derive(Default)]
struct Line {
    /// In order of arrival: the first is the oldest.
    since: BTreeMap<u64, Instant>,
    next: u64,
}

impl Queue {
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        let descriptions = Arc::new(descriptions(&[QUEUE_DEPTH, QUEUE_AGE])?);
        let queue = Self { line: Arc::default(), descriptions };
        make.registry.register(Box::new(queue.clone()))?;
        Ok(queue)
    }

    fn with<T>(&self, what: impl FnOnce(&mut Line) -> T) -> T {
        what(&mut self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, since: Instant) -> Waiting {
        let ticket = self.with(|line| {
            line.next += 1;
            line.since.insert(line.next, since);
            line.next
        });
        Waiting { queue: self.clone(), ticket }
    }

    pub fn waits_for_a_place(&self) -> Waiting {
        self.enter(Instant::now())
    }
}

impl Collector for Queue {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (depth, oldest) = self.with(|line| (line.since.len(), line.since.values().next().copied()));
        let mut age = Gauge::default();
        age.set_value(oldest.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        vec![
            family(&QUEUE_DEPTH, vec![sample(&QUEUE_DEPTH, &[], whole(depth))]),
            family(&QUEUE_AGE, vec![Metric::from_gauge(age)]),
        ]
    }
}

/// A waiting release, until it is dropped.
pub struct Waiting {
    queue: Queue,
    ticket: u64,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queue.with(|line| line.since.remove(&self.ticket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Depth and age, in seconds.
    fn seen(queue: &Queue) -> (f64, f64) {
        let families = queue.collect();
        let value = |n: usize| families[n].get_metric()[0].get_gauge().get_value();
        (value(0), value(1))
    }

    #[test]
    fn the_age_is_that_of_the_one_that_waits_longest() {
        let queue = Queue::new(&Maker { registry: prometheus::Registry::new() }).unwrap();
        assert_eq!(seen(&queue), (0.0, 0.0));
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let first = queue.enter(ago(50));
        let second = queue.enter(ago(20));
        let third = queue.enter(ago(1));
        let check = |depth: f64, age: f64| {
            let (found, oldest) = seen(&queue);
            assert!(found == depth && (age..age + 10.0).contains(&oldest), "{found} {oldest}");
        };
        check(3.0, 50.0);
        drop(second);
        check(2.0, 50.0);
        drop(first);
        check(1.0, 1.0);
        drop(third);
        assert_eq!(seen(&queue), (0.0, 0.0));
    }
}
