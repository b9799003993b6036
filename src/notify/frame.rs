//! What every line of notifications has: a receiver that may change, and a task that sends until the line ends.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::domain::notify::receiver::NewsReceiver;
use crate::observe::labels::NewsResult;
use crate::observe::metrics::Metrics;

/// The receiver of a line, and what wakes and ends its task.
pub struct Frame {
    receiver: watch::Sender<Arc<NewsReceiver>>,
    wake: Notify,
    stop: CancellationToken,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// A line of notifications to one receiver.
pub trait NewsLine: Send + Sync + 'static {
    /// Its frame.
    fn frame(&self) -> &Frame;

    /// Sends to a receiver until it is cut off, because the receiver changes or the line ends.
    fn send(&self, receiver: &NewsReceiver) -> impl Future<Output = ()> + Send;

    /// Nothing waits for it any more.
    fn clear_all(&self);
}

impl Frame {
    /// A frame for a receiver.
    pub fn new(receiver: NewsReceiver, metrics: &Arc<Metrics>) -> Self {
        Self {
            receiver: watch::Sender::new(Arc::new(receiver)),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            metrics: Arc::clone(metrics),
        }
    }

    /// The receiver.
    pub fn receiver(&self) -> Arc<NewsReceiver> {
        Arc::clone(&self.receiver.borrow())
    }

    /// The receiver has another configuration; returns whether it is another one. What waits for it stays.
    pub fn change(&self, receiver: NewsReceiver) -> bool {
        let is_other = **self.receiver.borrow() != receiver;
        if is_other {
            self.receiver.send_replace(Arc::new(receiver));
        }
        is_other
    }

    /// The receiver is gone, and what waits for it, too.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// There is something to send.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Counts notifications.
    pub fn count(&self, result: NewsResult, count: usize) {
        self.metrics.news(self.receiver.borrow().kind, result, count);
    }

    /// Since when the oldest notification waits.
    pub fn waiting(&self, since: Option<Instant>) {
        let receiver = self.receiver.borrow();
        self.metrics.news_waiting(receiver.kind, &receiver.name, since);
    }

    /// Waits until something is to be sent.
    pub async fn gathered(&self, wakes_at: impl Fn() -> Option<Instant> + Send) {
        loop {
            let Some(at) = wakes_at() else {
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

/// Sends to the receiver of a line until the line ends.
pub async fn serve<L: NewsLine>(line: Arc<L>) {
    let frame = line.frame();
    let mut changes = frame.receiver.subscribe();
    while !frame.stop.is_cancelled() {
        let receiver = Arc::clone(&changes.borrow_and_update());
        tokio::select! {
            () = line.send(&receiver) => {}
            // What was taken for a request that is cut off goes back.
            _ = changes.changed() => {}
            () = frame.stop.cancelled() => {}
        }
    }
    line.clear_all();
}
