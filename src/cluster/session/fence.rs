//! Keeps a process from writing after one of its leases expired, also one that was frozen in between:
//! the time is compared right before each write, and again when it is handed over to its connection.
//!
//! If another process may begin as soon as the lease is over, a write also has to end before that. Its time
//! has three parts, each with an end of its own: until it is handed over to a connection (the body is
//! refused later), from there to the API server (the kernel ends a connection that delivers nothing), and
//! the work of the API server (the request says how long). A write begins only while the lease lasts for all
//! three. What is left is a freeze between the last comparison and the kernel, some microseconds, and a
//! proxy in between that keeps requests and delivers them later.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster::error::ApiError;
use crate::domain::replicas::LeaseTimes;

/// Open until a lease is held, then until the first lease ends.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Fence {
    inner: Mutex<Inner>,
    renewed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Until when each lease is held.
    until: BTreeMap<String, Instant>,
    /// How long a write may take, if it has to end before the lease does.
    times: Option<LeaseTimes>,
}

/// The limits of a write that has to end before a lease does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct WriteLimit {
    /// When it has to be handed over to its connection.
    pub sent_by: Instant,
    /// How long the API server may work on it.
    pub longest: Duration,
    /// How long all of it may take.
    pub whole: Duration,
}

/// Whether a write may begin.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Now(Option<WriteLimit>),
    /// A lease ends so soon that the write might end later: not before it is renewed.
    AfterRenewal(Duration),
    Never,
}

impl Inner {
    fn admission(&self, now: Instant) -> Admission {
        let limit = self.times.map(|times| {
            let (longest, whole) = (times.longest_write, times.whole_write());
            WriteLimit { sent_by: now + times.sending, longest, whole }
        });
        let Some(until) = self.until.values().min() else { return Admission::Now(limit) };
        let left = until.saturating_duration_since(now);
        match left.is_zero() {
            true => Admission::Never,
            false if limit.is_none_or(|limit| left >= limit.whole) => Admission::Now(limit),
            false => Admission::AfterRenewal(left),
        }
    }
}

impl Fence {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the time until which a lease is held.
    pub fn set(&self, lease: &str, until: Instant) {
        self.inner().until.insert(lease.to_owned(), until);
        self.renewed.notify_waiters();
    }

    /// From now on a write begins only if it can end before the leases do.
    pub fn limit_writes(&self, times: LeaseTimes) {
        self.inner().times = Some(times);
    }

    /// How long a write may take; `None` when nothing depends on that.
    pub fn times(&self) -> Option<LeaseTimes> {
        self.inner().times
    }

    /// Waits until a write may begin: until the leases are held for as long as it may take. Returns its
    /// limits, which count from now.
    ///
    /// # Errors
    /// [`ApiError::LeaseOver`] after the end of a lease.
    pub async fn admit(&self) -> Result<Option<WriteLimit>, ApiError> {
        loop {
            let mut renewed = std::pin::pin!(self.renewed.notified());
            // A renewal from here on is noticed.
            renewed.as_mut().enable();
            let left = match self.inner().admission(Instant::now()) {
                Admission::Now(limit) => return Ok(limit),
                Admission::Never => return Err(ApiError::LeaseOver),
                Admission::AfterRenewal(left) => left,
            };
            // The lease is renewed in time, or ends.
            let _ = tokio::time::timeout(left, renewed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_write_begins_only_if_it_can_end_before_the_first_lease_does() {
        let now = Instant::now();
        let check = |duration: Option<u32>, leases: &[(&str, u32)], after: u32, expected: Option<u32>| {
            let times = duration.map(|seconds| LeaseTimes::of(SECOND * seconds));
            let until =
                leases.iter().map(|(name, left)| ((*name).to_owned(), now + SECOND * *left)).collect();
            let now = now + SECOND * after;
            let found = match (Inner { until, times }).admission(now) {
                Admission::Now(limit) => {
                    assert_eq!(limit.map(|limit| limit.sent_by), times.map(|times| now + times.sending));
                    Some(0)
                }
                Admission::AfterRenewal(left) => Some(u32::try_from(left.as_secs()).unwrap()),
                Admission::Never => None,
            };
            assert_eq!(found, expected, "{duration:?} {leases:?} {after}");
        };
        let begins = Some(0);
        check(None, &[], 99, begins);
        check(Some(15), &[], 99, begins);
        check(None, &[("leader", 15)], 14, begins);
        check(None, &[("leader", 15)], 15, None);
        check(None, &[("leader", 15), ("replica", 10)], 10, None);
        // It may take 1 s to the connection, 1 s to the API server, and 9 s there.
        check(Some(15), &[("replica", 15)], 4, begins);
        check(Some(15), &[("replica", 15)], 5, Some(10));
        check(Some(15), &[("replica", 15), ("leader", 12)], 3, Some(9));
        check(Some(15), &[("replica", 15)], 15, None);
        check(Some(15), &[("replica", 15)], 16, None);
    }

    #[tokio::test]
    async fn a_write_that_waits_begins_after_the_renewal() {
        let fence = Fence::default();
        fence.limit_writes(LeaseTimes::of(120 * SECOND));
        fence.set("replica", Instant::now() + 50 * SECOND);
        let mut waiting = std::pin::pin!(fence.admit());
        assert!(waiting.as_mut().now_or_never().is_none());
        fence.set("replica", Instant::now() + 150 * SECOND);
        assert!(waiting.now_or_never().is_some_and(|admitted| admitted.is_ok()));
        fence.set("replica", Instant::now());
        assert!(matches!(fence.admit().await, Err(ApiError::LeaseOver)));
    }
}
