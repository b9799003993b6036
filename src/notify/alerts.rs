//! One Alertmanager: its board, and the task that keeps it up to date.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::board::AlertBoard;
use super::client::{NewsClient, Sent};
use super::mailbox::Mailbox;
use super::trouble::Trouble;
use crate::domain::notify::format::{Alert, alert_request};
use crate::domain::notify::news::News;
use crate::domain::notify::receiver::NewsReceiver;
use crate::domain::notify::reply::NewsFate;
use crate::observe::labels::NewsResult;
use crate::observe::metrics::Metrics;

/// An Alertmanager.
pub struct AlertLine {
    receiver: watch::Sender<Arc<NewsReceiver>>,
    board: Mutex<AlertBoard>,
    wake: Notify,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
}

impl AlertLine {
    /// Starts to send to it.
    pub fn start(receiver: NewsReceiver, metrics: &Arc<Metrics>) -> Arc<Self> {
        let line = Arc::new(Self {
            receiver: watch::Sender::new(Arc::new(receiver)),
            board: Mutex::default(),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            metrics: Arc::clone(metrics),
        });
        tokio::spawn(Arc::clone(&line).serve());
        line
    }

    fn with<T>(&self, change: impl FnOnce(&mut AlertBoard) -> T) -> T {
        change(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The receiver.
    pub fn receiver(&self) -> Arc<NewsReceiver> {
        Arc::clone(&self.receiver.borrow())
    }

    /// It has another configuration.
    pub fn change(&self, receiver: NewsReceiver) {
        if **self.receiver.borrow() != receiver {
            self.receiver.send_replace(Arc::new(receiver));
        }
    }

    /// It is gone. Its alerts end by themselves.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// This is true of a release now.
    pub fn stand(&self, news: News, mailbox: &Arc<Mailbox>) {
        let (at, now) = (Timestamp::now(), Instant::now());
        if self.with(|board| board.stand(news, mailbox, at, now)) {
            self.count(NewsResult::Dropped, 1);
        }
        self.wake.notify_one();
    }

    /// No alert of the release is true any more.
    pub fn clear(&self, uid: &str) {
        self.with(|board| board.end(uid, None, Timestamp::now(), Instant::now()));
        self.wake.notify_one();
    }

    fn count(&self, result: NewsResult, count: usize) {
        self.metrics.news(self.receiver.borrow().kind, result, count);
    }

    async fn serve(self: Arc<Self>) {
        let mut changes = self.receiver.subscribe();
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let receiver = Arc::clone(&changes.borrow_and_update());
            tokio::select! {
                () = self.send(&receiver) => {}
                _ = changes.changed() => {}
                () = stop.cancelled() => {}
            }
        }
        let receiver = self.receiver();
        self.metrics.news_waiting(receiver.kind, &receiver.name, None);
    }

    /// Sends to it until it changes.
    async fn send(&self, receiver: &NewsReceiver) {
        let Some(client) = NewsClient::of(receiver) else { return std::future::pending().await };
        let between = Duration::from_secs(60) / receiver.per_minute.max(1);
        let (mut trouble, mut most) = (Trouble::default(), receiver.kind.most(receiver.batch));
        loop {
            self.gathered(receiver).await;
            let due = self.with(|board| board.due(Instant::now(), most));
            if due.is_empty() {
                continue;
            }
            let alerts: Vec<Alert<'_>> =
                due.iter().map(|(_, alert)| Alert { news: &alert.news, ended: alert.ended }).collect();
            let request = alert_request(receiver, &alerts, Timestamp::now());
            let Sent { fate, problem } = client.send(request).await;
            match fate {
                NewsFate::Delivered => {
                    trouble.over(&receiver.name);
                    most = receiver.kind.most(receiver.batch);
                    let news = self.with(|board| board.done(&due, Instant::now()));
                    self.count(NewsResult::Delivered, news);
                }
                NewsFate::Refused if due.len() > 1 => {
                    // One of them is the reason; the others are delivered without it.
                    most = due.len() / 2;
                    self.count(NewsResult::Retried, due.len());
                }
                NewsFate::Refused => {
                    self.with(|board| board.forget(&due));
                    self.count(NewsResult::Refused, due.len());
                    for (_, alert) in &due {
                        trouble.refused(&receiver.name, &alert.news, &problem);
                    }
                }
                NewsFate::Later(asked) => {
                    self.count(NewsResult::Retried, due.len());
                    tokio::time::sleep(trouble.pause(&receiver.name, asked, &problem)).await;
                }
            }
            tokio::time::sleep(between).await;
        }
    }

    /// Waits until something is to be sent.
    async fn gathered(&self, receiver: &NewsReceiver) {
        loop {
            let (at, oldest) = self.with(|board| (board.wakes_at(receiver.group), board.oldest()));
            self.metrics.news_waiting(receiver.kind, &receiver.name, oldest);
            let Some(at) = at else {
                self.wake.notified().await;
                continue;
            };
            if at <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => return,
                () = self.wake.notified() => {}
            }
        }
    }
}
