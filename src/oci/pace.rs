//! How fast one host is asked: so many requests at a time, and fewer for a while
//! when it says that it is too much.
//!
//! Who was told to wait does not ask again before. Everybody else goes on, one
//! at a time: the host may count by account, and what one release has used up
//! is not another's fault; or it counts by address, and then everybody is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OciError;
use super::access::Fingerprint;
use super::limits::{MAX_PACE, MAX_REMEMBERED, MAX_RETRY_AFTER, REQUESTS_PER_HOST};

/// A place among the requests to a host; given back when dropped.
pub(super) struct Place {
    _place: Option<OwnedSemaphorePermit>,
    _lane: Option<OwnedSemaphorePermit>,
}

struct Pace {
    places: Arc<Semaphore>,
    lane: Arc<Semaphore>,
    wishes: Mutex<Wishes>,
}

/// What the host has asked for.
#[derive(Default)]
struct Wishes {
    /// Until then one request at a time.
    slow_until: Option<Instant>,
    /// Who is to be quiet until when.
    quiet: HashMap<Fingerprint, Instant>,
}

#[derive(Default)]
pub(super) struct Paces(Mutex<HashMap<String, Arc<Pace>>>);

impl Paces {
    /// Waits for a place.
    ///
    /// # Errors
    /// When the host wants to hear nothing of this access for longer than a
    /// request waits.
    pub async fn enter(&self, host: &str, who: Fingerprint) -> Result<Place, OciError> {
        let pace = self.of(host);
        let (wait, slow) = pace.wishes(who);
        if wait > MAX_RETRY_AFTER {
            return Err(OciError::Unavailable {
                host: host.to_owned(),
                why: "it has asked to be left alone for a while (Retry-After)".to_owned(),
            });
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        // Whoever is long in it holds up nobody for longer than the host wants.
        let lane = match slow {
            Some(left) => tokio::time::timeout(left, Arc::clone(&pace.lane).acquire_owned()).await.ok(),
            None => None,
        };
        let lane = lane.and_then(Result::ok);
        Ok(Place { _place: Arc::clone(&pace.places).acquire_owned().await.ok(), _lane: lane })
    }

    /// The host has asked this access to wait.
    pub fn slow(&self, host: &str, who: Fingerprint, wait: Duration) {
        let until = Instant::now() + wait.min(MAX_PACE);
        let pace = self.of(host);
        let mut wishes = pace.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if wishes.quiet.len() >= MAX_REMEMBERED {
            wishes.quiet.clear();
        }
        wishes.quiet.insert(who, until);
        wishes.slow_until = wishes.slow_until.max(Some(until));
    }

    fn of(&self, host: &str) -> Arc<Pace> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_REMEMBERED {
            let now = Instant::now();
            hosts.retain(|_, pace| Arc::strong_count(pace) > 1 || pace.is_in_use(now));
        }
        let new = || {
            Arc::new(Pace {
                places: Arc::new(Semaphore::new(REQUESTS_PER_HOST)),
                lane: Arc::new(Semaphore::new(1)),
                wishes: Mutex::default(),
            })
        };
        Arc::clone(hosts.entry(host.to_owned()).or_insert_with(new))
    }
}

impl Pace {
    /// How long this access is to wait, and for how long only one at a time may
    /// ask.
    fn wishes(&self, who: Fingerprint) -> (Duration, Option<Duration>) {
        let now = Instant::now();
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let slow = wishes.slow_until.and_then(|until| until.checked_duration_since(now));
        let slow = slow.filter(|left| !left.is_zero());
        if slow.is_none() {
            *wishes = Wishes::default();
        }
        let until = wishes.quiet.get(&who).copied();
        (until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)), slow)
    }

    /// Whether requests are under way or the host has wishes.
    fn is_in_use(&self, now: Instant) -> bool {
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        self.places.available_permits() < REQUESTS_PER_HOST || wishes.slow_until.is_some_and(|at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Fingerprint = [1; 32];
    const OTHER: Fingerprint = [2; 32];

    #[tokio::test]
    async fn who_was_told_to_wait_waits_and_others_go_one_at_a_time() {
        let paces = Paces::default();
        paces.slow("a", ME, Duration::from_secs(30));
        assert!(matches!(paces.enter("a", ME).await, Err(OciError::Unavailable { .. })));
        let first = paces.enter("a", OTHER).await.unwrap();
        let second = tokio::time::timeout(Duration::from_millis(20), paces.enter("a", OTHER)).await;
        assert!(second.is_err(), "two at a time");
        drop(first);
        let _third = paces.enter("a", OTHER).await.unwrap();
        let _elsewhere = (paces.enter("b", ME).await.unwrap(), paces.enter("b", ME).await.unwrap());
    }

    #[tokio::test]
    async fn promise_7_no_host_is_quiet_for_ever() {
        let paces = Paces::default();
        paces.slow("a", ME, Duration::from_secs(u64::MAX / 4));
        let (wait, slow) = paces.of("a").wishes(ME);
        assert!(slow.is_some() && wait <= MAX_PACE && wait > MAX_PACE / 2, "{wait:?}");
        paces.slow("b", ME, Duration::ZERO);
        assert_eq!(paces.of("b").wishes(ME), (Duration::ZERO, None));
        // Nor does one long transfer keep the others out after that.
        paces.slow("c", ME, Duration::from_millis(30));
        let _long = paces.enter("c", OTHER).await.unwrap();
        paces.enter("c", OTHER).await.unwrap();
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
