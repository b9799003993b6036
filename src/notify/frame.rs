//! What every line of notifications has: a receiver that may change, and a task that sends until the line ends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::attempts::{Attempts, Batch};
use super::client::NewsClient;
use crate::domain::notify::format::NewsRequest;
use crate::domain::notify::receiver::NewsReceiver;
use crate::observe::labels::NewsResult;
use crate::observe::metrics::Metrics;

/// The pause of a line after a crash.
const AFTER_CRASH: Duration = Duration::from_secs(30);

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
    /// What is sent in one request.
    type Sent<'l>: Batch + Send + Sync
    where
        Self: 'l;

    /// The longest pause after a failed attempt.
    const LONGEST_PAUSE: Duration = Duration::MAX;

    /// Its frame.
    fn frame(&self) -> &Frame;

    /// When the next ones are to be sent, after they were gathered for that long; `None` when nothing waits.
    fn wakes_at(&self, group: Duration) -> Option<Instant>;

    /// Takes at most so many that are to be sent now.
    fn take<'l>(&'l self, receiver: &'l NewsReceiver, most: usize) -> Option<Self::Sent<'l>>;

    /// The request for them.
    fn request(receiver: &NewsReceiver, sent: &Self::Sent<'_>) -> NewsRequest;

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
        // What was taken for a request that is cut off goes back.
        let sending = AssertUnwindSafe(send(&*line, &receiver)).catch_unwind();
        tokio::select! {
            Err(_) = sending => {
                let (receiver, seconds) = (receiver.name.as_str(), AFTER_CRASH.as_secs());
                tracing::error!(receiver, seconds, "sending notifications crashed; restarts after a pause");
                tokio::select! {
                    () = tokio::time::sleep(AFTER_CRASH) => {}
                    () = frame.stop.cancelled() => {}
                }
            }
            _ = changes.changed() => {}
            () = frame.stop.cancelled() => {}
        }
    }
    line.clear_all();
}

/// Sends to a receiver until it is cut off, because the receiver changes or the line ends.
async fn send<L: NewsLine>(line: &L, receiver: &NewsReceiver) {
    let Some(client) = NewsClient::of(receiver) else { return std::future::pending().await };
    let whole = receiver.kind.most(receiver.batch);
    let mut attempts = Attempts::new(receiver.name.clone(), whole, receiver.per_minute);
    loop {
        line.frame().gathered(|| line.wakes_at(receiver.group)).await;
        let Some(taken) = line.take(receiver, attempts.most()) else { continue };
        let sent = client.send(L::request(receiver, &taken)).await;
        let pause = attempts.settle(taken, sent, |result, count| line.frame().count(result, count));
        tokio::time::sleep(pause.min(L::LONGEST_PAUSE)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::notify::config::NotifyDraft;
    use crate::domain::notify::news::News;

    /// A line that crashes when it takes something.
    struct Crashing {
        frame: Frame,
        crashes: AtomicU32,
        ends: AtomicU32,
    }

    struct Nothing;

    impl Batch for Nothing {
        fn count(&self) -> usize {
            0
        }

        fn delivered(self) -> usize {
            0
        }

        fn refused(self, _: &str) -> Vec<Arc<News>> {
            Vec::new()
        }

        fn delayed(self, _: &str) {}
    }

    impl NewsLine for Crashing {
        type Sent<'l> = Nothing;

        fn frame(&self) -> &Frame {
            &self.frame
        }

        fn wakes_at(&self, _: Duration) -> Option<Instant> {
            Some(Instant::now())
        }

        fn take<'l>(&'l self, _: &'l NewsReceiver, _: usize) -> Option<Nothing> {
            self.crashes.fetch_add(1, Ordering::SeqCst);
            panic!("a line crashes");
        }

        fn request(_: &NewsReceiver, _: &Nothing) -> NewsRequest {
            unreachable!("nothing is taken")
        }

        fn clear_all(&self) {
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_line_that_crashes_goes_on_after_a_pause_and_ends_as_others_do() {
        let metrics = Arc::new(Metrics::new("test").unwrap());
        let file = "{apiVersion: supercargo.dev/v1alpha1, kind: NotifyConfig, \
                    receivers: [{name: a, type: cloudevents, url: 'https://hooks.example/'}]}";
        let config = NotifyDraft::parse(file).unwrap().complete(&BTreeMap::new()).unwrap();
        let frame = Frame::new(config.receivers[0].clone(), &metrics);
        let line = Arc::new(Crashing { frame, crashes: AtomicU32::new(0), ends: AtomicU32::new(0) });
        let serving = tokio::spawn(serve(Arc::clone(&line)));
        while line.crashes.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!serving.is_finished());
        line.frame.end();
        serving.await.unwrap();
        assert_eq!(line.ends.load(Ordering::SeqCst), 1);
    }
}
