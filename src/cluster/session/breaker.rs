//! Whether another cluster answers. After a request without an answer, no other is sent until a
//! probe is answered: a cluster that is away costs nobody the time of a request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderValue;
use tokio::sync::watch;

use crate::cluster::error::ApiError;

/// The state, and its last failure.
#[derive(Debug)]
pub struct Breaker {
    failure: RwLock<Option<Arc<str>>>,
    /// How often it was opened.
    outages: AtomicU64,
    /// Whether the API server is being asked if it answers itself.
    suspected: AtomicBool,
    changed: watch::Sender<bool>,
}

impl Default for Breaker {
    fn default() -> Self {
        let (failure, outages) = (RwLock::default(), AtomicU64::new(0));
        Self { failure, outages, suspected: AtomicBool::new(false), changed: watch::channel(false).0 }
    }
}

impl Breaker {
    /// Why no request is sent now; `None` while the cluster answers.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.failure.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A request got no answer. Returns whether this is news.
    pub fn open(&self, why: &str) -> bool {
        let mut failure = self.failure.write().unwrap_or_else(PoisonError::into_inner);
        if failure.is_some() {
            return false;
        }
        *failure = Some(why.into());
        self.outages.fetch_add(1, Ordering::Relaxed);
        // Under the lock: what followers see last is the state.
        self.changed.send_replace(true);
        true
    }

    /// Something before the API server may have answered for it. Returns whether it has to be asked now.
    pub fn suspect(&self) -> bool {
        !self.suspected.swap(true, Ordering::Relaxed)
    }

    /// The API server was asked.
    pub fn asked(&self) {
        self.suspected.store(false, Ordering::Relaxed);
    }

    /// How often the cluster was away until now.
    pub fn outages(&self) -> u64 {
        self.outages.load(Ordering::Relaxed)
    }

    /// The cluster answers.
    pub fn close(&self) {
        let mut failure = self.failure.write().unwrap_or_else(PoisonError::into_inner);
        *failure = None;
        self.changed.send_if_modified(|open| std::mem::replace(open, false));
    }

    /// Follows whether the cluster is away; ends with the breaker.
    pub fn follow(&self) -> watch::Receiver<bool> {
        self.changed.subscribe()
    }

    /// Waits until the cluster answers again.
    pub async fn closed(&self) {
        // It fails only when the sender is gone, and that is here.
        let _ = self.follow().wait_for(|open| !open).await;
    }
}

/// What belongs to another cluster.
pub struct Remote {
    /// The URL of its API server.
    pub server: Arc<str>,
    /// Whether it answers.
    pub breaker: Breaker,
    /// A token that is exchanged while the process runs.
    bearer: RwLock<Option<HeaderValue>>,
    /// Whether credentials were rejected since that token was set.
    rejected: AtomicBool,
}

impl Remote {
    /// The cluster of an API server. Nothing is known of it yet.
    pub fn new(server: &str) -> Self {
        let (bearer, rejected) = (RwLock::default(), AtomicBool::new(false));
        Self { server: server.into(), breaker: Breaker::default(), bearer, rejected }
    }

    /// Sets what a token that is exchanged while the process runs is sent as.
    pub fn set_authorization(&self, value: HeaderValue) {
        *self.bearer.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.rejected.store(false, Ordering::Relaxed);
    }

    /// The API server rejects the credentials.
    pub fn reject(&self) {
        self.rejected.store(true, Ordering::Relaxed);
    }

    /// Whether it has rejected them since the last token was set.
    pub fn is_rejected(&self) -> bool {
        self.rejected.load(Ordering::Relaxed)
    }

    /// What that token is sent as, if there is one.
    pub fn authorization(&self) -> Option<HeaderValue> {
        self.bearer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error of a request without an answer.
    pub fn away(&self, why: &str) -> ApiError {
        ApiError::Away { server: Arc::clone(&self.server), why: why.to_owned() }
    }

    /// Whether the last request got no answer.
    pub fn is_away(&self) -> bool {
        self.breaker.failure().is_some()
    }

    /// Waits until it answers again, after it was away.
    pub async fn is_back(&self) {
        if self.is_away() {
            return self.breaker.closed().await;
        }
        let mut changes = self.breaker.follow();
        // Away first, or there is nothing to come back from.
        if changes.wait_for(|open| *open).await.is_ok() {
            self.breaker.closed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_stays_until_there_is_an_answer() {
        let breaker = Breaker::default();
        let mut changes = breaker.follow();
        assert!(breaker.failure().is_none());
        assert!(breaker.open("refused"));
        assert!(!breaker.open("timeout"));
        assert_eq!(breaker.outages(), 1, "it is the same one");
        assert_eq!(breaker.failure().as_deref(), Some("refused"));
        assert!(changes.has_changed().unwrap() && *changes.borrow_and_update());
        breaker.close();
        breaker.closed().await;
        assert!(breaker.failure().is_none());
        assert!(changes.has_changed().unwrap() && !*changes.borrow_and_update());
        breaker.close();
        assert!(!changes.has_changed().unwrap(), "that is no news");
    }
}
