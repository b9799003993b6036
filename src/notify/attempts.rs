//! What the answers of a receiver mean for what was sent, and when to send the next: the same for every kind of
//! line. Also what is logged of a receiver that accepts nothing.

use std::sync::Arc;
use std::time::Duration;

use super::client::Sent;
use crate::domain::notify::news::News;
use crate::domain::notify::reply::{NewsFate, pause};
use crate::observe::labels::NewsResult;

/// After how many failed attempts in a row a failure is logged again.
const LOG_EVERY: u32 = 10;

/// What is sent in one request. It goes back to where it came from when it is dropped.
pub trait Batch: Sized {
    /// How many notifications it has.
    fn count(&self) -> usize;

    /// The receiver has it. Returns how many of the notifications it had not had before.
    fn delivered(self) -> usize;

    /// The receiver will never take it. Returns the notifications that are lost.
    fn refused(self, problem: &str) -> Vec<Arc<News>>;

    /// The receiver does not take it now.
    fn delayed(self, problem: &str);
}

/// The attempts at one receiver.
pub struct Attempts {
    /// The receiver, for the log.
    name: String,
    /// How many notifications fit into a request.
    whole: usize,
    most: usize,
    /// The time between two requests.
    between: Duration,
    /// Failed attempts in a row.
    failed: u32,
}

impl Attempts {
    /// At a receiver that takes so many notifications in a request, and so many requests a minute.
    pub fn new(name: String, whole: usize, per_minute: u32) -> Self {
        Self { name, whole, most: whole, between: Duration::from_secs(60) / per_minute.max(1), failed: 0 }
    }

    /// How many notifications the next request may have.
    pub fn most(&self) -> usize {
        self.most
    }

    /// A request has ended; returns how long to wait before the next one.
    pub fn settle(
        &mut self,
        batch: impl Batch,
        Sent { fate, problem, .. }: Sent,
        counted: impl Fn(NewsResult, usize),
    ) -> Duration {
        let count = batch.count();
        match fate {
            NewsFate::Delivered => {
                if std::mem::take(&mut self.failed) > 0 {
                    tracing::info!(receiver = self.name, "the receiver accepts notifications again");
                }
                self.most = self.whole;
                counted(NewsResult::Delivered, batch.delivered());
                tracing::debug!(receiver = self.name, count, "notified");
            }
            NewsFate::Refused if count > 1 => {
                // One of them is the reason; the others are delivered without it.
                self.most = count / 2;
                counted(NewsResult::Retried, count);
            }
            NewsFate::Refused => {
                self.failed = 0;
                counted(NewsResult::Refused, count);
                for news in batch.refused(&problem) {
                    let outcome = news.kind.as_str();
                    tracing::warn!(receiver = self.name, release = %news.release, outcome, problem, "the receiver refuses this notification; it is not sent again");
                }
            }
            NewsFate::Later(asked) => {
                counted(NewsResult::Retried, count);
                batch.delayed(&problem);
                return self.pause(asked, &problem).max(self.between);
            }
        }
        self.between
    }

    fn pause(&mut self, asked: Option<Duration>, problem: &str) -> Duration {
        self.failed = self.failed.saturating_add(1);
        let pause = pause(self.failed, asked, fastrand::f64());
        let (attempts, seconds) = (self.failed, pause.as_secs());
        if attempts == 1 || attempts.is_multiple_of(LOG_EVERY) {
            tracing::warn!(
                receiver = self.name,
                attempts,
                seconds,
                problem,
                "cannot notify the receiver; retrying"
            );
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::domain::notify::news::tests::news;

    /// So many notifications, and what became of them.
    struct Noted<'n>(usize, &'n RefCell<Vec<String>>);

    impl Batch for Noted<'_> {
        fn count(&self) -> usize {
            self.0
        }

        fn delivered(self) -> usize {
            self.1.borrow_mut().push(format!("delivered {}", self.0));
            self.0
        }

        fn refused(self, problem: &str) -> Vec<Arc<News>> {
            self.1.borrow_mut().push(format!("refused: {problem}"));
            vec![Arc::new(news())]
        }

        fn delayed(self, problem: &str) {
            self.1.borrow_mut().push(format!("delayed: {problem}"));
        }
    }

    #[test]
    fn a_request_with_several_is_halved_until_the_one_that_is_refused_is_alone() {
        let (noted, mut attempts) = (RefCell::default(), Attempts::new("team".into(), 100, 60));
        let mut check =
            |count: usize, fate: NewsFate, expected: &str, seconds: std::ops::Range<u64>, most: usize| {
                let sent = Sent { fate, problem: "no".into(), is_answered: true };
                let counted = RefCell::default();
                let pause = attempts.settle(Noted(count, &noted), sent, |result, n| {
                    *counted.borrow_mut() = Some((result, n))
                });
                assert_eq!(noted.borrow_mut().drain(..).collect::<Vec<_>>().join(","), expected);
                assert!(seconds.contains(&pause.as_secs()), "{expected} {pause:?}");
                assert_eq!(attempts.most(), most, "{expected}");
                counted.into_inner()
            };
        check(8, NewsFate::Refused, "", 1..2, 4);
        check(4, NewsFate::Refused, "", 1..2, 2);
        check(2, NewsFate::Refused, "", 1..2, 1);
        let refused = check(1, NewsFate::Refused, "refused: no", 1..2, 1);
        assert_eq!(refused, Some((NewsResult::Refused, 1)));
        check(1, NewsFate::Later(Some(Duration::from_secs(90))), "delayed: no", 90..91, 1);
        check(1, NewsFate::Later(Some(Duration::ZERO)), "delayed: no", 1..2, 1);
        let delivered = check(1, NewsFate::Delivered, "delivered 1", 1..2, 100);
        assert_eq!(delivered, Some((NewsResult::Delivered, 1)));
    }
}
