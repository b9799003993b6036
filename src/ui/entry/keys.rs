//! The keys of cookies: in a Secret that all replicas share. It is read again, so that it can be replaced while the page
//! is served; cookies that an earlier key has sealed count until they end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::seal::{LIFE, SealKey, Sealed};
use crate::cluster::error::ApiError;
use crate::cluster::inventory::SECRET_BYTES;
use crate::cluster::session::Session;
use crate::domain::message::chain;
use crate::reconcile::env::plan_keys::random;

/// How often the Secret is read, while anyone uses the page.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// The same when a cookie cannot be opened: another replica may have a newer key. Anyone can send such a cookie.
const SOON: Duration = Duration::from_secs(5);
/// How long a reading may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Earlier keys that are kept.
const MAX_EARLIER: usize = 4;

type Hash = [u8; 32];

/// The keys that this process knows.
#[derive(Default)]
struct KeyRing {
    /// By a hash of its secret.
    newest: Option<(Hash, Arc<SealKey>)>,
    /// Keys that have been replaced, the last one first, and when their last cookie ends.
    earlier: Vec<(Arc<SealKey>, Timestamp)>,
    /// When the Secret was read, or could not be read.
    read: Option<Instant>,
}

impl KeyRing {
    /// Takes what the Secret has now. The key that it replaces opens cookies until the last of them ends.
    fn take(&mut self, secret: &[u8], now: Timestamp) {
        let hash: Hash = Sha256::digest(secret).into();
        if self.newest.as_ref().is_some_and(|(known, _)| *known == hash) {
            return;
        }
        let Some(key) = SealKey::of(secret) else { return };
        if let Some((_, before)) = self.newest.replace((hash, Arc::new(key))) {
            self.earlier.insert(0, (before, now.saturating_add(LIFE).unwrap_or(now)));
            self.earlier.truncate(MAX_EARLIER);
        }
    }

    /// All keys that count, the newest first.
    fn keys(&mut self, now: Timestamp) -> Vec<Arc<SealKey>> {
        self.earlier.retain(|(_, until)| now < *until);
        let earlier = self.earlier.iter().map(|(key, _)| Arc::clone(key));
        self.newest.iter().map(|(_, key)| Arc::clone(key)).chain(earlier).collect()
    }
}

/// The keys of cookies.
pub struct CookieKeys {
    operator: Session,
    /// The namespace and the name of the Secret.
    home: (String, String),
    ring: Mutex<KeyRing>,
    /// One reads at a time.
    reading: tokio::sync::Mutex<()>,
}

impl CookieKeys {
    /// In a Secret, which is created when it does not exist.
    pub fn new(operator: Session, home: (String, String)) -> Self {
        Self { operator, home, ring: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// The value of a cookie for a host; none for a token that is too long.
    ///
    /// # Errors
    /// When the Secret cannot be read or created.
    pub async fn seal(&self, sealed: &Sealed, host: &str) -> Result<Option<String>, ApiError> {
        let keys = self.current(READ_AGAIN).await?;
        Ok(keys.first().and_then(|key| key.seal(sealed, host)))
    }

    /// What the first of these cookies has that was sealed for this host.
    ///
    /// # Errors
    /// As [`CookieKeys::seal`].
    pub async fn open(&self, cookies: &[&str], host: &str) -> Result<Option<Sealed>, ApiError> {
        if cookies.is_empty() {
            return Ok(None);
        }
        let now = Timestamp::now();
        for age in [READ_AGAIN, SOON] {
            let keys = self.current(age).await?;
            let mut opened =
                cookies.iter().flat_map(|cookie| keys.iter().map(|key| key.open(cookie, host, now)));
            if let Some(sealed) = opened.find_map(|opened| opened) {
                return Ok(Some(sealed));
            }
        }
        Ok(None)
    }

    /// The keys as they were read at most so long ago.
    async fn current(&self, age: Duration) -> Result<Vec<Arc<SealKey>>, ApiError> {
        let is_fresh = |ring: &KeyRing| ring.read.is_some_and(|at| at.elapsed() < age);
        if !is_fresh(&self.ring()) {
            let _one = self.reading.lock().await;
            // Another request may have read it by now.
            if !is_fresh(&self.ring()) {
                let read = tokio::time::timeout(PATIENCE, self.read()).await;
                let read = read.unwrap_or(Err(ApiError::Timeout(PATIENCE)));
                self.take(read)?;
            }
        }
        Ok(self.ring().keys(Timestamp::now()))
    }

    fn take(&self, read: Result<Vec<u8>, ApiError>) -> Result<(), ApiError> {
        let mut ring = self.ring();
        match read {
            Ok(secret) => ring.take(&secret, Timestamp::now()),
            // What is known stays in use.
            Err(error) if ring.newest.is_some() => {
                tracing::warn!(
                    error = chain(&error),
                    "cannot read the key for the cookies of the page again"
                );
            }
            Err(error) => return Err(error),
        }
        ring.read = Some(Instant::now());
        Ok(())
    }

    async fn read(&self) -> Result<Vec<u8>, ApiError> {
        let (namespace, name) = &self.home;
        let no_key = || ApiError::Configuration(format!("Secret {namespace}/{name} has no key").into());
        let new = random::<SECRET_BYTES>().map_err(|_| no_key())?;
        let secret = self.operator.plan_secret(namespace, name, &new).await?;
        Some(secret).filter(|secret| secret.len() >= SECRET_BYTES).ok_or_else(no_key)
    }

    fn ring(&self) -> MutexGuard<'_, KeyRing> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::entry::token::Token;

    #[test]
    fn a_key_that_was_replaced_opens_its_cookies_until_they_end() {
        let begin = Timestamp::from_second(1_700_000_000).unwrap();
        let mut ring = KeyRing::default();
        ring.take(&[1; 32], begin);
        let sealed = Sealed::of(Token::parse("opaque").unwrap(), begin);
        let cookie = ring.keys(begin)[0].seal(&sealed, "localhost").unwrap();
        let opens = |ring: &mut KeyRing, at: Timestamp| {
            let keys = ring.keys(at);
            (keys.len(), keys.iter().any(|key| key.open(&cookie, "localhost", at).is_some()))
        };
        ring.take(&[1; 32], begin);
        assert_eq!(opens(&mut ring, begin), (1, true), "the same key is no other one");
        let replaced = begin + jiff::SignedDuration::from_hours(1);
        ring.take(&[2; 32], replaced);
        assert_eq!(opens(&mut ring, replaced), (2, true));
        let new = ring.keys(replaced)[0].seal(&sealed, "localhost").unwrap();
        assert!(SealKey::of(&[2; 32]).unwrap().open(&new, "localhost", begin).is_some());
        assert_eq!(opens(&mut ring, begin + LIFE), (2, false));
        assert_eq!(opens(&mut ring, replaced + LIFE), (1, false));
        // Who replaces it all the time fills no memory.
        (3..50).for_each(|n| ring.take(&[n; 32], replaced));
        assert_eq!(ring.keys(replaced).len(), 1 + MAX_EARLIER);
    }
}
