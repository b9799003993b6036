//! Rate limits: a bucket that bounds deliveries, and the memory of those that were
//! seen. Time is an argument: the duration since a fixed moment.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// A token bucket: a burst, and a rate per second.
#[derive(Clone, Debug)]
pub struct Bucket {
    most: f64,
    per_second: f64,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub fn new(most: u32, per_second: u32) -> Self {
        let most = f64::from(most);
        Self { most, per_second: f64::from(per_second), tokens: most, at: Duration::ZERO }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// When the bucket is empty: how long until there is a token.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let grown = now.saturating_sub(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + grown).min(self.most);
        self.at = self.at.max(now);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// The identity of a delivery: a digest.
pub type Name = [u8; 32];

/// The recent deliveries, bounded: if there are too many, the oldest are dropped.
#[derive(Clone, Debug)]
pub struct Deliveries {
    window: Duration,
    most: usize,
    names: HashSet<Name>,
    order: VecDeque<(Duration, Name)>,
}

impl Deliveries {
    /// An empty memory.
    pub fn new(window: Duration, most: usize) -> Self {
        Self { window, most, names: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether it was seen within the window.
    pub fn has(&mut self, name: &Name, now: Duration) -> bool {
        self.forget(now, self.most);
        self.names.contains(name)
    }

    /// Records it as seen.
    pub fn add(&mut self, name: Name, now: Duration) {
        self.forget(now, self.most.saturating_sub(1));
        if self.names.insert(name) {
            self.order.push_back((now, name));
        }
    }

    fn forget(&mut self, now: Duration, most: usize) {
        while let Some((at, name)) = self.order.front() {
            if self.order.len() <= most && now.saturating_sub(*at) <= self.window {
                return;
            }
            self.names.remove(name);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_gives_what_it_has_and_then_what_grows() {
        let mut bucket = Bucket::new(2, 10);
        let mut check = |at: Duration, expected: Result<(), Duration>| {
            assert_eq!(bucket.take(at), expected, "{at:?}");
        };
        check(ms(1000), Ok(()));
        check(ms(1000), Ok(()));
        check(ms(1000), Err(ms(100)));
        check(ms(1125), Ok(()));
        check(ms(1000), Err(ms(75)));
        check(ms(9000), Ok(()));
        check(ms(9000), Ok(()));
        check(ms(9000), Err(ms(100)));
    }

    #[test]
    fn a_delivery_is_known_for_a_while() {
        let mut seen = Deliveries::new(ms(1000), 2);
        let name = |n: u8| [n; 32];
        assert!(!seen.has(&name(1), ms(0)));
        seen.add(name(1), ms(0));
        assert!(seen.has(&name(1), ms(1000)));
        assert!(!seen.has(&name(1), ms(1001)));
        // If there are too many, the oldest is dropped.
        for n in 2..5 {
            seen.add(name(n), ms(2000));
        }
        let known: Vec<bool> = (2..5).map(|n| seen.has(&name(n), ms(2000))).collect();
        assert_eq!(known, [false, true, true]);
        assert_eq!((seen.names.len(), seen.order.len()), (2, 2));
    }
}
