//! The request rate of one host: a limited number at a time, and none from an access that
//! it asked to wait.
//!
//! All of that is per access: the credentials or the proxy of one release must not slow
//! down another. A host that counts by address answers every access in the same way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::fair::{Gate, Share};
use crate::oci::credentials::Fingerprint;
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_PACE, MAX_PLACE_WAIT, MAX_REMEMBERED, MAX_RETRY_AFTER, REQUESTS_PER_HOST};

/// A slot for a request to a host; released when dropped.
pub(super) struct Place {
    _share: Share,
}

struct Pace {
    places: Arc<Gate>,
    /// The accesses that must wait, and until when.
    quiet: Mutex<HashMap<Fingerprint, Instant>>,
}

#[derive(Default)]
pub(super) struct Paces(Mutex<HashMap<String, Arc<Pace>>>);

impl Paces {
    /// Waits for a slot.
    ///
    /// # Errors
    /// When the host asked this access to wait for longer than a request waits, or is
    /// slow to answer the pending requests.
    pub async fn enter(&self, host: &str, who: Fingerprint) -> Result<Place, OciError> {
        self.enter_within(host, who, MAX_PLACE_WAIT).await
    }

    async fn enter_within(&self, host: &str, who: Fingerprint, most: Duration) -> Result<Place, OciError> {
        let pace = self.of(host);
        let unavailable = |why: &str| OciError::Unavailable { host: host.to_owned(), why: why.into() };
        let wait = pace.wait(who);
        if wait > MAX_RETRY_AFTER {
            return Err(unavailable("it limits the request rate (Retry-After)"));
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let entered = tokio::time::timeout(most, pace.places.place(&hex::encode(who))).await;
        let share = entered.map_err(|_| {
            unavailable("it is slow to answer the pending requests with the same credentials")
        })?;
        Ok(Place { _share: share })
    }

    /// The host has asked this access to wait.
    pub fn slow(&self, host: &str, who: Fingerprint, wait: Duration) {
        let until = Instant::now() + wait.min(MAX_PACE);
        let pace = self.of(host);
        let mut quiet = pace.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet.len() >= MAX_REMEMBERED {
            quiet.clear();
        }
        quiet.insert(who, until);
    }

    fn of(&self, host: &str) -> Arc<Pace> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_REMEMBERED {
            let now = Instant::now();
            hosts.retain(|_, pace| Arc::strong_count(pace) > 1 || pace.is_in_use(now));
        }
        let new = || Arc::new(Pace { places: Gate::new(2 * REQUESTS_PER_HOST), quiet: Mutex::default() });
        Arc::clone(hosts.entry(host.to_owned()).or_insert_with(new))
    }
}

impl Pace {
    /// How long this access must wait.
    fn wait(&self, who: Fingerprint) -> Duration {
        let now = Instant::now();
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.retain(|_, until| *until > now);
        quiet.get(&who).map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Whether requests are pending or an access must wait.
    fn is_in_use(&self, now: Instant) -> bool {
        let quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        self.places.taken() > 0 || quiet.values().any(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Fingerprint = [1; 32];
    const OTHER: Fingerprint = [2; 32];

    #[tokio::test]
    async fn only_an_access_that_was_asked_to_wait_waits() {
        let paces = Paces::default();
        paces.slow("a", ME, Duration::from_secs(30));
        assert!(matches!(paces.enter("a", ME).await, Err(OciError::Unavailable { .. })));
        let _first = paces.enter("a", OTHER).await.unwrap();
        let second = tokio::time::timeout(Duration::from_secs(10), paces.enter("a", OTHER)).await;
        assert!(second.is_ok_and(|place| place.is_ok()), "another is held up");
        let _elsewhere = (paces.enter("b", ME).await.unwrap(), paces.enter("b", ME).await.unwrap());
    }

    #[tokio::test]
    async fn what_one_access_keeps_busy_holds_up_only_itself_and_not_for_ever() {
        let paces = Paces::default();
        let mut slow = Vec::new();
        for _ in 0..REQUESTS_PER_HOST {
            slow.push(paces.enter("a", ME).await.unwrap());
        }
        let soon = Duration::from_millis(20);
        let refused = paces.enter_within("a", ME, soon).await.err().unwrap().to_string();
        assert!(refused.contains("is slow to answer the pending requests"), "{refused}");
        drop(paces.enter_within("a", OTHER, soon).await.unwrap());
        slow.pop();
        paces.enter_within("a", ME, Duration::from_secs(10)).await.unwrap();
    }

    #[tokio::test]
    async fn promise_7_no_host_is_quiet_for_ever() {
        let paces = Paces::default();
        paces.slow("a", ME, Duration::from_secs(u64::MAX / 4));
        let wait = paces.of("a").wait(ME);
        assert!(wait <= MAX_PACE && wait > MAX_PACE / 2, "{wait:?}");
        paces.slow("b", ME, Duration::ZERO);
        assert_eq!(paces.of("b").wait(ME), Duration::ZERO);
    }

    #[tokio::test]
    async fn promise_7_hosts_are_not_remembered_for_ever() {
        let paces = Paces::default();
        let _busy = paces.enter("busy", ME).await.unwrap();
        paces.slow("slow", ME, Duration::from_secs(60));
        for n in 0..MAX_REMEMBERED * 2 {
            let _ = paces.enter(&n.to_string(), ME).await;
        }
        assert!(paces.0.lock().unwrap().len() <= MAX_REMEMBERED);
        assert!(paces.0.lock().unwrap().contains_key("busy"));
        assert!(paces.enter("slow", ME).await.is_err());
    }
}
