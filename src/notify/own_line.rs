//! One receiver that a release names itself: what waits for it, and how it is sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::attempts::Attempts;
use super::client::{NewsClient, Sent};
use super::queue::{NewsQueue, WaitingNews};
use super::taken::{QueueLine, TakenNews};
use super::view::SecretReader;
use crate::domain::identity::ReleaseId;
use crate::domain::notify::declared::DeclaredReceiver;
use crate::domain::notify::format::request;
use crate::domain::notify::hosts::AllowedHosts;
use crate::domain::notify::receiver::NewsReceiver;
use crate::domain::notify::reply::NewsFate;
use crate::egress::EgressProxy;
use crate::fair::{Gate, Share};
use crate::observe::labels::NewsResult;
use crate::observe::metrics::Metrics;

/// The most notifications that wait for one receiver.
const MAX_WAITING: usize = 16;
/// The most requests a minute.
const MAX_PER_MINUTE: u32 = 60;
/// How long notifications are gathered.
const GROUP: Duration = Duration::from_secs(5);

/// What all receivers of releases share.
pub struct OwnWay {
    /// The requests at the same time.
    pub in_flight: Arc<Gate>,
    /// The hosts that the administrator allows.
    pub hosts: AllowedHosts,
    /// The metrics.
    pub metrics: Option<Arc<Metrics>>,
}

/// A receiver for which something waits.
pub struct OwnLine {
    /// What the release says of it.
    pub declared: DeclaredReceiver,
    /// Ends the line.
    pub stop: CancellationToken,
    way: Arc<OwnWay>,
    release: ReleaseId,
    secrets: Mutex<Arc<dyn SecretReader>>,
    queue: Mutex<NewsQueue>,
    wake: Notify,
    /// Given back with the line.
    _place: Share,
}

impl OwnLine {
    /// A line with its first notification. It ends with the release's mailbox.
    pub fn new(
        declared: &DeclaredReceiver,
        secrets: &Arc<dyn SecretReader>,
        first: WaitingNews,
        place: Share,
        way: &Arc<OwnWay>,
    ) -> Arc<Self> {
        let line = Self {
            declared: declared.clone(),
            stop: first.mailbox.upgrade().map(|mailbox| mailbox.lifetime()).unwrap_or_default(),
            way: Arc::clone(way),
            release: first.news.release.clone(),
            secrets: Mutex::new(Arc::clone(secrets)),
            queue: Mutex::new(NewsQueue::holding(MAX_WAITING)),
            wake: Notify::new(),
            _place: place,
        };
        line.add(first);
        Arc::new(line)
    }

    /// Adds a notification.
    pub fn add(&self, one: WaitingNews) {
        if self.with(|queue| queue.add(one)) {
            self.count(NewsResult::Dropped, 1);
        }
        self.wake.notify_one();
    }

    /// Removes what is not true any more.
    pub fn withdraw(&self, uid: &str, digest: Option<&str>) {
        self.with(|queue| queue.withdraw(uid, digest));
        self.wake.notify_one();
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.with(|queue| queue.oldest().is_none())
    }

    /// The release may have another account now: the Secret is read with its rights.
    pub fn set_secrets(&self, secrets: &Arc<dyn SecretReader>) {
        *self.secrets() = Arc::clone(secrets);
    }

    fn secrets(&self) -> MutexGuard<'_, Arc<dyn SecretReader>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits, as long as `is_over` does not say that nothing does.
    pub async fn send(&self, is_over: impl Fn() -> bool) {
        let name = format!("{} {}", self.release, self.declared.name);
        let per_minute = self.declared.kind.per_minute().min(MAX_PER_MINUTE);
        let mut attempts = Attempts::new(name, self.declared.kind.most(false), per_minute);
        let mut opened = None;
        while !is_over() {
            if let Some(at) = self.with(|queue| queue.wakes_at(GROUP))
                && at > Instant::now()
            {
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.wake.notified() => {}
                }
                continue;
            }
            let Some(taken) = TakenNews::from(self, &self.declared.name, attempts.most(), |_| true) else {
                continue;
            };
            let sent = self.request(&taken, &mut opened).await;
            if let NewsFate::Later(_) = sent.fate {
                // A client takes memory.
                opened = None;
            }
            let pause = attempts.settle(taken, sent, |result, count| self.count(result, count));
            self.rest(pause).await;
        }
    }

    /// The pause between two requests. It ends early when nothing waits any more: others may wait for the place.
    async fn rest(&self, pause: Duration) {
        let mut over = std::pin::pin!(tokio::time::sleep(pause));
        loop {
            tokio::select! {
                () = &mut over => return,
                () = self.wake.notified() => if self.is_empty() { return },
            }
        }
    }

    /// One request. The Secret is read for it, so that another value is used at once.
    async fn request(
        &self,
        taken: &TakenNews<'_, Self>,
        opened: &mut Option<(NewsReceiver, NewsClient)>,
    ) -> Sent {
        let _place = self.way.in_flight.place(&self.release.namespace).await;
        let secrets = Arc::clone(&self.secrets());
        let data = secrets.read(&self.declared.secret).await;
        let is_proxied = |url: &Url| EgressProxy::of_process().concerns(url);
        let receiver = data.and_then(|data| self.declared.opened(&data, &self.way.hosts, is_proxied));
        let receiver = match receiver {
            Ok(receiver) => receiver,
            Err(problem) => return later(problem),
        };
        if opened.as_ref().is_none_or(|(known, _)| *known != receiver) {
            *opened = NewsClient::of(&receiver).map(|client| (receiver, client));
        }
        let Some((receiver, client)) = opened else {
            return later(format!("ca.crt in Secret {} has no valid certificate", self.declared.secret));
        };
        let sent = client.send(request(receiver, &taken.news(), Timestamp::now())).await;
        // What a connection fails of says more of the network than a tenant should know.
        match sent.is_answered {
            true => sent,
            false => Sent { problem: "the receiver cannot be reached".to_owned(), ..sent },
        }
    }
}

impl QueueLine for OwnLine {
    const IS_OWN: bool = true;

    fn with<T>(&self, change: impl FnOnce(&mut NewsQueue) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, result: NewsResult, count: usize) {
        if let Some(metrics) = &self.way.metrics {
            metrics.news(self.declared.kind, result, count);
        }
    }
}

fn later(problem: String) -> Sent {
    Sent { fate: NewsFate::Later(None), problem, is_answered: false }
}
