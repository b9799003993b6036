//! What is logged of a receiver that accepts nothing, and how long it is left alone.

use std::time::Duration;

use crate::domain::notify::news::News;
use crate::domain::notify::reply::pause;

/// After how many failed attempts in a row a failure is logged again.
const LOG_EVERY: u32 = 10;

/// Failed attempts in a row.
#[derive(Debug, Default)]
pub struct Trouble {
    attempts: u32,
}

impl Trouble {
    /// An attempt has failed; returns how long to wait before the next one.
    pub fn pause(&mut self, receiver: &str, asked: Option<Duration>, problem: &str) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        let pause = pause(self.attempts, asked, fastrand::f64());
        let (attempts, seconds) = (self.attempts, pause.as_secs());
        if attempts == 1 || attempts.is_multiple_of(LOG_EVERY) {
            tracing::warn!(receiver, attempts, seconds, problem, "cannot notify the receiver; retrying");
        }
        pause
    }

    /// The receiver accepts notifications.
    pub fn over(&mut self, receiver: &str) {
        if std::mem::take(&mut self.attempts) > 0 {
            tracing::info!(receiver, "the receiver accepts notifications again");
        }
    }

    /// The receiver answers, and refuses a notification.
    pub fn refused(&mut self, receiver: &str, news: &News, problem: &str) {
        self.attempts = 0;
        let outcome = news.kind.as_str();
        tracing::warn!(receiver, release = %news.release, outcome, problem, "the receiver refuses this notification; it is not sent again");
    }
}
