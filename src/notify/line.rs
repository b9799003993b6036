//! One receiver: its queue, and the task that sends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::client::{NewsClient, Sent};
use super::frame::{Frame, NewsLine, serve};
use super::queue::{NewsQueue, WaitingNews};
use super::trouble::Trouble;
use crate::domain::notify::format::request;
use crate::domain::notify::news::News;
use crate::domain::notify::receiver::NewsReceiver;
use crate::domain::notify::record::STALE;
use crate::domain::notify::reply::NewsFate;
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

    fn with<T>(&self, change: impl FnOnce(&mut NewsQueue) -> T) -> T {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut queue);
        self.frame.waiting(queue.oldest());
        changed
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

impl NewsLine for ReceiverLine {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    // What was being sent has gone back to the queue.
    fn clear_all(&self) {
        self.with(|queue| *queue = NewsQueue::default());
    }

    async fn send(&self, receiver: &NewsReceiver) {
        let Some(client) = NewsClient::of(receiver) else { return std::future::pending().await };
        let between = Duration::from_secs(60) / receiver.per_minute.max(1);
        let (mut trouble, mut most) = (Trouble::default(), receiver.kind.most(receiver.batch));
        loop {
            self.frame.gathered(|| self.with(|queue| queue.wakes_at(receiver.group))).await;
            let taken = Taken { line: self, news: self.with(|queue| queue.take(Instant::now(), most)) };
            let Some(taken) = taken.current(receiver) else { continue };
            let news: Vec<&News> = taken.news.iter().map(|one| &*one.news).collect();
            let Sent { fate, problem, .. } = client.send(request(receiver, &news, Timestamp::now())).await;
            let count = taken.news.len();
            let name = receiver.name.as_str();
            match fate {
                NewsFate::Delivered => {
                    trouble.over(name);
                    most = receiver.kind.most(receiver.batch);
                    self.frame.count(NewsResult::Delivered, count);
                    for one in taken.done() {
                        if let Some(mailbox) = one.mailbox.upgrade() {
                            mailbox.accept(one.news.entry(name));
                        }
                    }
                    tracing::debug!(receiver = name, count, "notified");
                }
                NewsFate::Refused if count > 1 => {
                    // One of them is the reason; the others are delivered without it.
                    most = count / 2;
                    self.frame.count(NewsResult::Retried, count);
                }
                NewsFate::Refused => {
                    self.frame.count(NewsResult::Refused, count);
                    for one in taken.done() {
                        trouble.refused(name, &one.news, &problem);
                    }
                }
                NewsFate::Later(asked) => {
                    self.frame.count(NewsResult::Retried, count);
                    drop(taken);
                    tokio::time::sleep(trouble.pause(name, asked, &problem)).await;
                }
            }
            tokio::time::sleep(between).await;
        }
    }
}

/// Notifications that are being sent. Those that are not accepted go back to the queue.
struct Taken<'l> {
    line: &'l ReceiverLine,
    news: Vec<WaitingNews>,
}

impl<'l> Taken<'l> {
    /// Without those that are no news any more, that the receiver does not take any more, or whose release is
    /// gone; `None` when none is left.
    fn current(mut self, receiver: &NewsReceiver) -> Option<Self> {
        let now = Timestamp::now();
        let mut expired = 0;
        self.news.retain(|one| {
            let is_old = now.duration_since(one.news.at) > STALE;
            expired += usize::from(is_old);
            !is_old && one.mailbox.strong_count() > 0 && receiver.takes(&one.news)
        });
        if expired > 0 {
            self.line.frame.count(NewsResult::Expired, expired);
        }
        (!self.news.is_empty()).then_some(self)
    }

    /// All of them are done with.
    fn done(mut self) -> Vec<WaitingNews> {
        std::mem::take(&mut self.news)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let news = std::mem::take(&mut self.news);
        self.line.with(|queue| match news.is_empty() {
            true => queue.done(),
            false => queue.put_back(news),
        });
    }
}
