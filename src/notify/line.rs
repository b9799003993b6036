//! One receiver of the administrator: its queue, and what is sent of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::frame::{Frame, NewsLine, serve};
use super::queue::{NewsQueue, WaitingNews};
use super::taken::{QueueLine, TakenNews};
use crate::domain::notify::format::{NewsRequest, request};
use crate::domain::notify::receiver::NewsReceiver;
use crate::observe::labels::NewsResult;
use crate::observe::metrics::Metrics;

/// A receiver and what waits for it.
pub struct ReceiverLine {
    frame: Frame,
    queue: Mutex<NewsQueue>,
}

impl ReceiverLine {
    /// Starts to send to a receiver.
    pub fn start(receiver: NewsReceiver, metrics: &Arc<Metrics>) -> Arc<Self> {
        let line = Arc::new(Self { frame: Frame::new(receiver, metrics), queue: Mutex::default() });
        tokio::spawn(serve(Arc::clone(&line)));
        line
    }

    /// Adds a notification.
    pub fn add(&self, one: WaitingNews) {
        if self.with(|queue| queue.add(one)) {
            self.frame.count(NewsResult::Dropped, 1);
        }
        self.frame.wake();
    }

    /// Removes what is not true any more.
    pub fn withdraw(&self, uid: &str, digest: Option<&str>) {
        self.with(|queue| queue.withdraw(uid, digest));
    }

    /// Removes all of a release.
    pub fn withdraw_release(&self, uid: &str) {
        self.with(|queue| queue.withdraw_release(uid));
    }
}

impl QueueLine for ReceiverLine {
    const IS_OWN: bool = false;

    fn with<T>(&self, change: impl FnOnce(&mut NewsQueue) -> T) -> T {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut queue);
        self.frame.waiting(queue.oldest());
        changed
    }

    fn count(&self, result: NewsResult, count: usize) {
        self.frame.count(result, count);
    }
}

impl NewsLine for ReceiverLine {
    type Sent<'l> = TakenNews<'l, Self>;

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn wakes_at(&self, group: Duration) -> Option<Instant> {
        self.with(|queue| queue.wakes_at(group))
    }

    fn take<'l>(&'l self, receiver: &'l NewsReceiver, most: usize) -> Option<TakenNews<'l, Self>> {
        let is_wanted = |one: &WaitingNews| one.mailbox.strong_count() > 0 && receiver.takes(&one.news);
        TakenNews::from(self, &receiver.name, most, is_wanted)
    }

    fn request(receiver: &NewsReceiver, taken: &TakenNews<'_, Self>) -> NewsRequest {
        request(receiver, &taken.news(), Timestamp::now())
    }

    // What was being sent has gone back to the queue.
    fn clear_all(&self) {
        self.with(|queue| *queue = NewsQueue::default());
    }
}
