//! Keeps a process from writing after one of its leases expired, also one that was frozen in between:
//! the time is compared right before each write.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster::error::ApiError;

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
    longest_write: Option<Duration>,
}

/// Whether a write may begin.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Now,
    /// A lease ends so soon that the write might end later: not before it is renewed.
    AfterRenewal(Duration),
    Never,
}

impl Inner {
    fn admission(&self, now: Instant) -> Admission {
        let Some(until) = self.until.values().min() else { return Admission::Now };
        let left = until.saturating_duration_since(now);
        match left.is_zero() {
            true => Admission::Never,
            false if left >= self.longest_write.unwrap_or_default() => Admission::Now,
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

    /// From now on a write begins only if it can end before the leases do: it may take so long.
    pub fn limit_writes(&self, longest: Duration) {
        self.inner().longest_write = Some(longest);
    }

    /// How long a write may take; `None` when nothing depends on that.
    pub fn longest_write(&self) -> Option<Duration> {
        self.inner().longest_write
    }

    /// Waits until a write may begin: until the leases are held for as long as it may take.
    ///
    /// # Errors
    /// [`ApiError::LeaseOver`] after the end of a lease.
    pub async fn admit(&self) -> Result<(), ApiError> {
        loop {
            let mut renewed = std::pin::pin!(self.renewed.notified());
            // A renewal from here on is noticed.
            renewed.as_mut().enable();
            let left = match self.inner().admission(Instant::now()) {
                Admission::Now => return Ok(()),
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
        let check = |longest: Option<u32>, leases: &[(&str, u32)], after: u32, expected: Admission| {
            let longest_write = longest.map(|seconds| SECOND * seconds);
            let until =
                leases.iter().map(|(name, left)| ((*name).to_owned(), now + SECOND * *left)).collect();
            let inner = Inner { until, longest_write };
            assert_eq!(inner.admission(now + SECOND * after), expected, "{longest:?} {leases:?} {after}");
        };
        check(None, &[], 99, Admission::Now);
        check(Some(10), &[], 99, Admission::Now);
        check(None, &[("leader", 15)], 14, Admission::Now);
        check(None, &[("leader", 15)], 15, Admission::Never);
        check(None, &[("leader", 15), ("replica", 10)], 10, Admission::Never);
        check(Some(10), &[("replica", 15)], 5, Admission::Now);
        check(Some(10), &[("replica", 15)], 6, Admission::AfterRenewal(9 * SECOND));
        check(Some(10), &[("replica", 15), ("leader", 12)], 3, Admission::AfterRenewal(9 * SECOND));
        check(Some(10), &[("replica", 15)], 16, Admission::Never);
    }

    #[tokio::test]
    async fn a_write_that_waits_begins_after_the_renewal() {
        let fence = Fence::default();
        fence.limit_writes(100 * SECOND);
        fence.set("replica", Instant::now() + 50 * SECOND);
        let mut waiting = std::pin::pin!(fence.admit());
        assert!(waiting.as_mut().now_or_never().is_none());
        fence.set("replica", Instant::now() + 150 * SECOND);
        assert!(waiting.now_or_never().is_some_and(|admitted| admitted.is_ok()));
        fence.set("replica", Instant::now());
        assert!(matches!(fence.admit().await, Err(ApiError::LeaseOver)));
    }
}
