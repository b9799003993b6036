//! One receiver that a release names itself: what waits for it, and how it is sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::attempts::Attempts;
use super::board::{AGAIN, AlertBoard, StandingAlert};
use super::client::{NewsClient, Sent};
use super::due::{BoardLine, DueAlerts};
use super::mailbox::Mailbox;
use super::queue::{NewsQueue, WaitingNews};
use super::taken::{QueueLine, TakenNews};
use super::view::SecretReader;
use crate::domain::identity::ReleaseId;
use crate::domain::notify::declared::DeclaredReceiver;
use crate::domain::notify::format::{NewsRequest, alert_request, request};
use crate::domain::notify::hosts::AllowedHosts;
use crate::domain::notify::news::News;
use crate::domain::notify::receiver::{NewsReceiver, ReceiverType};
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

/// What a release says whose artifact names a repository of a receiver at another host.
const OTHER_FORGE: &str = "the artifact names its source at another host than that of url";

/// A receiver as its Secret had it, and the client for it.
type OpenClient = (NewsReceiver, NewsClient);

/// What all receivers of releases share.
pub struct OwnWay {
    /// The requests at the same time.
    pub in_flight: Arc<Gate>,
    /// The requests about alerts at the same time: they come each minute, and hold up nobody else.
    pub alerts_in_flight: Arc<Gate>,
    /// The hosts that the administrator allows.
    pub hosts: AllowedHosts,
    /// The metrics.
    pub metrics: Option<Arc<Metrics>>,
}

/// The first that a receiver hears.
pub enum FirstNews {
    /// A notification.
    News(WaitingNews),
    /// An alert of the release with that mailbox, once it was true for so long.
    Alert(Box<News>, Duration, Arc<Mailbox>),
}

/// A receiver for which something waits, or an alert stands.
pub struct OwnLine {
    /// What the release says of it.
    pub declared: DeclaredReceiver,
    /// Ends the line.
    stop: CancellationToken,
    /// Whether the release does not name it any more: nobody hears of its problems.
    is_left: AtomicBool,
    way: Arc<OwnWay>,
    release: ReleaseId,
    secrets: Mutex<Arc<dyn SecretReader>>,
    /// Of these two, the type of the receiver uses one.
    queue: Mutex<NewsQueue>,
    board: Mutex<AlertBoard>,
    wake: Notify,
    /// Given back with the line.
    _place: Share,
}

impl OwnLine {
    /// A line with its first notification or alert. Notifications end with the release's mailbox. An alert is ended
    /// at its receiver, too.
    pub fn new(
        declared: &DeclaredReceiver,
        secrets: &Arc<dyn SecretReader>,
        first: FirstNews,
        place: Share,
        way: &Arc<OwnWay>,
    ) -> Arc<Self> {
        let (release, stop) = match &first {
            FirstNews::News(first) => (
                &first.news.release,
                first.mailbox.upgrade().map(|mailbox| mailbox.lifetime()).unwrap_or_default(),
            ),
            FirstNews::Alert(news, ..) => (&news.release, CancellationToken::new()),
        };
        let line = Self {
            declared: declared.clone(),
            stop,
            is_left: AtomicBool::new(false),
            way: Arc::clone(way),
            release: release.clone(),
            secrets: Mutex::new(Arc::clone(secrets)),
            queue: Mutex::new(NewsQueue::holding(MAX_WAITING)),
            board: Mutex::default(),
            wake: Notify::new(),
            _place: place,
        };
        line.add(first);
        Arc::new(line)
    }

    /// Adds a notification, or says which alert stands.
    pub fn add(&self, one: FirstNews) {
        match one {
            FirstNews::News(one) => {
                if QueueLine::with(self, |queue| queue.add(one)) {
                    QueueLine::count(self, NewsResult::Dropped, 1);
                }
            }
            FirstNews::Alert(news, settles_in, mailbox) => {
                let (at, now) = (Timestamp::now(), Instant::now());
                BoardLine::with(self, |board| board.stand((*news, settles_in), &mailbox, at, now));
            }
        }
        self.wake.notify_one();
    }

    /// Removes what is not true any more.
    pub fn withdraw(&self, uid: &str, digest: Option<&str>) {
        QueueLine::with(self, |queue| queue.withdraw(uid, digest));
        BoardLine::with(self, |board| board.end(uid, None, Timestamp::now(), Instant::now()));
        self.wake.notify_one();
    }

    /// The release does not name the receiver any more, or is gone: notifications are not sent, and alerts end.
    pub fn end(&self, uid: &str) {
        self.is_left.store(true, Ordering::Relaxed);
        match self.is_of_alerts() {
            true => self.withdraw(uid, None),
            false => self.stop.cancel(),
        }
    }

    /// Whether it is the line of a receiver as the release names it now. Which alerts stand is decided before they come
    /// here: another line would end some that stand.
    pub fn is_for(&self, one: &DeclaredReceiver) -> bool {
        match self.is_of_alerts() {
            true => {
                (&one.name, one.kind, &one.secret)
                    == (&self.declared.name, self.declared.kind, &self.declared.secret)
            }
            false => *one == self.declared,
        }
    }

    /// Whether it is of alerts, and the release does not name it any more.
    pub fn has_left_alerts(&self) -> bool {
        self.is_of_alerts() && self.is_left.load(Ordering::Relaxed)
    }

    /// Another line may have ended what stands: it is sent again at once.
    pub fn renew(&self) {
        BoardLine::with(self, |board| board.renew(Instant::now()));
        self.wake.notify_one();
    }

    /// The release.
    pub fn release(&self) -> &ReleaseId {
        &self.release
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until it is ended.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
    }

    fn is_of_alerts(&self) -> bool {
        self.declared.kind == ReceiverType::Alertmanager
    }

    /// Whether nothing waits, and no alert stands.
    pub fn is_empty(&self) -> bool {
        QueueLine::with(self, |queue| queue.oldest().is_none())
            && BoardLine::with(self, |board| board.is_empty())
    }

    /// The release may have another account now: the Secret is read with its rights.
    pub fn set_secrets(&self, secrets: &Arc<dyn SecretReader>) {
        *self.secrets() = Arc::clone(secrets);
    }

    fn secrets(&self) -> MutexGuard<'_, Arc<dyn SecretReader>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wakes_at(&self) -> Option<Instant> {
        match self.is_of_alerts() {
            true => BoardLine::with(self, |board| board.wakes_at(GROUP)),
            false => QueueLine::with(self, |queue| queue.wakes_at(GROUP)),
        }
    }

    /// Sends what waits, as long as `is_over` does not say that nothing does.
    pub async fn send(&self, is_over: impl Fn() -> bool) {
        let name = format!("{} {}", self.release, self.declared.name);
        let per_minute = self.declared.kind.per_minute().min(MAX_PER_MINUTE);
        let mut attempts = Attempts::new(name, self.declared.kind.most(false), per_minute);
        let mut client = None;
        while !is_over() {
            if let Some(at) = self.wakes_at()
                && at > Instant::now()
            {
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.wake.notified() => {}
                }
                continue;
            }
            let Some(pause) = self.send_one(&mut attempts, &mut client).await else { continue };
            self.rest(pause).await;
        }
    }

    /// Sends one request, if there is something to send; returns the pause after it.
    async fn send_one(&self, attempts: &mut Attempts, client: &mut Option<OpenClient>) -> Option<Duration> {
        let count = |result, count| QueueLine::count(self, result, count);
        if self.is_of_alerts() {
            let due = DueAlerts::from(self, attempts.most())?;
            let alerts =
                |receiver: &NewsReceiver| Ok(alert_request(receiver, &due.alerts(), Timestamp::now()));
            let sent = self.request(client, alerts).await;
            // A client takes memory, and the next alert is a minute away.
            *client = None;
            return Some(attempts.settle(due, sent, count).min(AGAIN));
        }
        let taken = TakenNews::from(self, &self.declared.name, attempts.most(), |_| true)?;
        let news = |receiver: &NewsReceiver| {
            let news = taken.news();
            let forge = receiver.forge.as_ref();
            let is_elsewhere = forge.is_some_and(|forge| news.iter().any(|one| forge.commit(one).is_none()));
            if is_elsewhere { Err(OTHER_FORGE) } else { Ok(request(receiver, &news, Timestamp::now())) }
        };
        let sent = self.request(client, news).await;
        if let NewsFate::Later(_) = sent.fate {
            // A client takes memory.
            *client = None;
        }
        Some(attempts.settle(taken, sent, count))
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
        opened: &mut Option<OpenClient>,
        made: impl Fn(&NewsReceiver) -> Result<NewsRequest, &'static str>,
    ) -> Sent {
        let gate = if self.is_of_alerts() { &self.way.alerts_in_flight } else { &self.way.in_flight };
        let _place = gate.place(&self.release.namespace).await;
        let secrets = Arc::clone(&self.secrets());
        let data = secrets.read(&self.declared.secret).await;
        let is_proxied = |url: &Url| EgressProxy::of_process().concerns(url);
        let receiver = data.and_then(|data| self.declared.opened(&data, &self.way.hosts, is_proxied));
        let receiver = match receiver {
            Ok(receiver) => receiver,
            Err(problem) => return unsent(NewsFate::Later(None), problem),
        };
        if opened.as_ref().is_none_or(|(known, _)| *known != receiver) {
            *opened = NewsClient::of(&receiver).map(|client| (receiver, client));
        }
        let Some((receiver, client)) = opened else {
            let problem = format!("ca.crt in Secret {} has no valid certificate", self.declared.secret);
            return unsent(NewsFate::Later(None), problem);
        };
        let sent = match made(receiver) {
            Ok(request) => client.send(request).await,
            Err(problem) => return unsent(NewsFate::Refused, problem.to_owned()),
        };
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

impl BoardLine for OwnLine {
    fn with<T>(&self, change: impl FnOnce(&mut AlertBoard) -> T) -> T {
        change(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, alert: &StandingAlert, problem: Option<&str>) {
        let is_left = self.is_left.load(Ordering::Relaxed);
        let Some(mailbox) = alert.mailbox.upgrade().filter(|_| !is_left) else { return };
        match problem {
            // It may have ended while it was sent.
            Some(_) if !BoardLine::with(self, |board| board.stands(alert)) => {}
            Some(problem) => mailbox.fails(&self.declared.name, problem, Some(&alert.news)),
            None => mailbox.hears(&self.declared.name),
        }
    }
}

fn unsent(fate: NewsFate, problem: String) -> Sent {
    Sent { fate, problem, is_answered: false }
}
