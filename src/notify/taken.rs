//! Notifications from a queue that are being sent.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::attempts::Batch;
use super::mailbox::InFlight;
use super::queue::{NewsQueue, WaitingNews};
use crate::domain::notify::news::News;
use crate::domain::notify::record::STALE;
use crate::observe::labels::NewsResult;

/// A line with a queue.
pub trait QueueLine {
    /// Whether releases hear of the problems of the receiver: they have named it.
    const IS_OWN: bool;

    /// Changes the queue.
    fn with<T>(&self, change: impl FnOnce(&mut NewsQueue) -> T) -> T;

    /// Counts notifications.
    fn count(&self, result: NewsResult, count: usize);
}

/// Notifications that are being sent. Those that are not accepted go back to the queue.
pub struct TakenNews<'l, L: QueueLine> {
    line: &'l L,
    /// The receiver, as the status names it.
    receiver: &'l str,
    waiting: Vec<WaitingNews>,
    /// Given back once their releases know the answer.
    in_flight: Vec<InFlight>,
}

impl<'l, L: QueueLine> TakenNews<'l, L> {
    /// Takes what may be sent: at most so many, without those that are too old or not wanted any more. `None` when
    /// none is left.
    pub fn from(
        line: &'l L,
        receiver: &'l str,
        most: usize,
        is_wanted: impl Fn(&WaitingNews) -> bool,
    ) -> Option<Self> {
        let waiting = line.with(|queue| queue.take(Instant::now(), most));
        let (mut taken, now) = (Self { line, receiver, waiting, in_flight: Vec::new() }, Timestamp::now());
        let mut expired = 0;
        let (waiting, in_flight) = (&mut taken.waiting, &mut taken.in_flight);
        waiting.retain(|one| {
            let is_old = now.duration_since(one.news.at) > STALE;
            expired += usize::from(is_old);
            let begun = one.mailbox.upgrade().map(|mailbox| mailbox.begin_sending());
            // The next owner of its release sends it.
            let is_given_away = matches!(begun, Some(None));
            let is_sent = !is_old && !is_given_away && is_wanted(one);
            in_flight.extend(begun.flatten().filter(|_| is_sent));
            is_sent
        });
        if expired > 0 {
            line.count(NewsResult::Expired, expired);
        }
        (!taken.waiting.is_empty()).then_some(taken)
    }

    /// What they say.
    pub fn news(&self) -> Vec<&News> {
        self.waiting.iter().map(|one| &*one.news).collect()
    }

    /// The releases that have named the receiver hear of a problem.
    fn tell(&self, problem: &str) {
        for one in self.waiting.iter().filter(|_| L::IS_OWN) {
            if let Some(mailbox) = one.mailbox.upgrade() {
                mailbox.fails(self.receiver, problem, Some(&one.news));
            }
        }
    }

    /// All of them are done with.
    fn end(mut self) -> Vec<WaitingNews> {
        std::mem::take(&mut self.waiting)
    }
}

impl<L: QueueLine> Batch for TakenNews<'_, L> {
    fn count(&self) -> usize {
        self.waiting.len()
    }

    fn delivered(self) -> usize {
        let (receiver, mut taken) = (self.receiver, self);
        let in_flight = std::mem::take(&mut taken.in_flight);
        let all = taken.end();
        for one in &all {
            if let Some(mailbox) = one.mailbox.upgrade() {
                mailbox.accept(one.news.entry(receiver));
            }
        }
        drop(in_flight);
        all.len()
    }

    fn refused(self, problem: &str) -> Vec<Arc<News>> {
        self.tell(&format!("{problem}; it is not sent again"));
        self.end().into_iter().map(|one| one.news).collect()
    }

    fn delayed(self, problem: &str) {
        self.tell(problem);
    }
}

impl<L: QueueLine> Drop for TakenNews<'_, L> {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.line.with(|queue| match waiting.is_empty() {
            true => queue.done(),
            false => queue.put_back(waiting),
        });
    }
}
