//! A webhook from its first byte to its answer: authentication, rate limit, replay check, parsing,
//! and the releases concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::answer::HookAnswer;
use super::asking::{Asking, Due};
use super::listing::{ListedReleases, Lists};
use super::refusals::Refusals;
use crate::cluster::session::Session;
use crate::cluster::sources::ArtifactSource;
use crate::domain::webhook::follower::Follower;
use crate::domain::webhook::formats::Delivery;
use crate::domain::webhook::limit::{Bucket, Deliveries, Name};
use crate::domain::webhook::push::{Push, PushedRepository};
use crate::domain::webhook::receiver::{Headers, PREFIX, Receiver, find};
use crate::observe::metrics::Metrics;

/// The longest body. The largest that is documented, GitHub's, has some ten KiB
/// for a package.
const MAX_BODY: usize = 1 << 20;
/// How much of a longer body is read before the connection is closed.
const MAX_READ: usize = 4 << 20;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bodies of authenticated senders that are read at once.
const BODIES: usize = 32;
/// The same for senders that are authenticated by the body: unauthenticated clients could hold
/// these slots.
const UNPROVEN_BODIES: usize = 16;
/// How long a webhook waits for a slot.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum time a sender waits for the API server.
const DEADLINE: Duration = Duration::from_secs(10);
/// Deliveries of one receiver: so many at once, and then so many in a second.
const BURST: u32 = 200;
const PER_SECOND: u32 = 20;
/// How long a delivery is remembered: longer than a signed time is fresh, counted
/// from the earliest that its clock may be.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Deliveries that are remembered, of all receivers.
const MAX_DELIVERIES: usize = 32_768;

/// Receives webhooks.
pub struct Hooks {
    receivers: watch::Receiver<Arc<Vec<Receiver>>>,
    lists: Lists,
    asking: Arc<Asking>,
    places: Semaphore,
    unproven: Semaphore,
    born: Instant,
    /// By the name of the receiver.
    buckets: Mutex<BTreeMap<String, Bucket>>,
    deliveries: Mutex<Deliveries>,
    refusals: Refusals,
    metrics: Arc<Metrics>,
}

impl Hooks {
    /// From these receivers, for releases of this scope.
    pub fn new(
        receivers: watch::Receiver<Arc<Vec<Receiver>>>,
        session: Session,
        scope: ListedReleases,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            receivers,
            asking: Asking::new(session.clone(), scope.selector.clone()),
            lists: Lists::start(session, scope),
            places: Semaphore::new(BODIES),
            unproven: Semaphore::new(UNPROVEN_BODIES),
            born: Instant::now(),
            buckets: Mutex::default(),
            deliveries: Mutex::new(Deliveries::new(WINDOW, MAX_DELIVERIES)),
            refusals: Refusals::default(),
            metrics,
        }
    }

    /// Sends the pending triggers now.
    pub async fn finish(&self) {
        self.asking.finish().await;
    }

    /// Answers a request.
    pub async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> HookAnswer {
        if !request.uri().path().starts_with(PREFIX) {
            return HookAnswer::NotFound;
        }
        if request.method() != Method::POST {
            return HookAnswer::NotPost;
        }
        let receivers = Arc::clone(&self.receivers.borrow());
        let receiver = find(&receivers, request.uri().path());
        // A request without any credentials is not counted for a sender.
        let known = receiver.filter(|receiver| receiver.is_offered_proof(&proofs(request.headers())));
        let answer = match receiver {
            Some(receiver) => self.receive(receiver, request).await,
            None => HookAnswer::Stranger,
        };
        self.count(known, &answer);
        if !matches!(answer, HookAnswer::Taken { .. })
            && let Some(times) = self.refusals.count(Instant::now())
        {
            let receiver = receiver.map_or("", |receiver| receiver.name.as_str());
            tracing::warn!(receiver, times, answer = answer.name(), "rejected webhooks");
        }
        answer
    }

    fn count(&self, receiver: Option<&Receiver>, answer: &HookAnswer) {
        if let Some(result) = answer.result() {
            self.metrics.webhook_request(receiver.map(|receiver| receiver.sender), result);
        }
        if let HookAnswer::Taken { triggered, .. } = answer {
            self.metrics.webhook_triggered(triggered.len());
        }
    }

    async fn receive(self: &Arc<Self>, receiver: &Receiver, request: Request<Incoming>) -> HookAnswer {
        let (parts, body) = request.into_parts();
        let headers = proofs(&parts.headers);
        let now = Timestamp::now().as_second();
        // Requests are rejected by their headers first, which is cheap.
        if !receiver.may_admit(&headers, now) {
            return HookAnswer::Stranger;
        }
        let places = if receiver.is_proven_by_headers() { &self.places } else { &self.unproven };
        let Ok(Ok(place)) = timeout(TURN_TIMEOUT, places.acquire()).await else { return HookAnswer::Busy };
        let body = match whole(body).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        if !receiver.admits(&headers, &body, now) {
            return HookAnswer::Stranger;
        }
        if let Err(wait) = self.take_turn(receiver) {
            return HookAnswer::TooOften(wait);
        }
        let name = receiver.sender.is_distinct().then(|| name(receiver, &headers, &body));
        if name.is_some_and(|name| self.deliveries().has(&name, self.born.elapsed())) {
            let why = vec!["duplicate delivery".to_owned()];
            return taken(receiver, Vec::new(), why, true);
        }
        let delivery = match receiver.read(&body) {
            Ok(delivery) => delivery,
            Err(why) => return HookAnswer::Malformed(why),
        };
        drop((body, place));
        // Continues when the sender does not wait for the answer.
        let (hooks, receiver) = (Arc::clone(self), receiver.clone());
        let triggering = tokio::spawn(async move {
            let answer = hooks.trigger(&receiver, delivery).await;
            if let (Some(name), HookAnswer::Taken { .. }) = (name, &answer) {
                hooks.deliveries().add(name, hooks.born.elapsed());
            }
            answer
        });
        match timeout(DEADLINE, triggering).await {
            Ok(Ok(answer)) => answer,
            _ => HookAnswer::Unavailable,
        }
    }

    /// Triggers every release that the pushes concern.
    async fn trigger(&self, receiver: &Receiver, delivery: Delivery) -> HookAnswer {
        let Delivery { pushes, ignored } = delivery;
        let mut ignored: Vec<String> = ignored.into_iter().map(str::to_owned).collect();
        if pushes.is_empty() {
            return taken(receiver, Vec::new(), ignored, false);
        }
        let Ok(sources) = self.lists.get().await else { return HookAnswer::Unavailable };
        // Ranges and expressions of thousands of releases take their time.
        let reaching = receiver.clone();
        let matching = spawn_blocking(move || concerned(&reaching, &sources, &pushes));
        let Ok((concerned, idle)) = matching.await else { return HookAnswer::Unavailable };
        ignored.extend(idle.into_iter().map(|push| format!("no release follows {push}")));
        let names: Vec<String> = concerned.iter().map(|(source, _)| source.id.to_string()).collect();
        let asked = concerned.into_iter().filter_map(|(source, due)| self.asking.ask(source, due));
        let asked = join_all(asked).await;
        // A task that has ended without an answer has not triggered its release.
        if asked.into_iter().any(|asked| asked != Ok(Ok(()))) {
            return HookAnswer::Unavailable;
        }
        taken(receiver, names, ignored, false)
    }

    fn take_turn(&self, receiver: &Receiver) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(&receiver.name) {
            // Receivers that are not configured any more are dropped.
            let receivers = Arc::clone(&self.receivers.borrow());
            buckets.retain(|name, _| receivers.iter().any(|receiver| receiver.name == *name));
        }
        let bucket = buckets.entry(receiver.name.clone()).or_insert_with(|| Bucket::new(BURST, PER_SECOND));
        bucket.take(self.born.elapsed())
    }

    fn deliveries(&self) -> std::sync::MutexGuard<'_, Deliveries> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The releases that pushes concern, and the pushes that concern none.
fn concerned(
    receiver: &Receiver,
    sources: &[ArtifactSource],
    pushes: &BTreeSet<Push>,
) -> (Vec<(ArtifactSource, Due)>, Vec<Push>) {
    let mut idle = pushes.clone();
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| receiver.reaches(&source.id.namespace)) {
        let Some(place) = PushedRepository::parse(&source.url) else { continue };
        if !pushes.iter().any(|push| push.place == place) {
            continue;
        }
        let follower = Follower::new(place, &source.reference, source.rests);
        let by: Vec<&Push> = pushes.iter().filter(|push| follower.is_concerned(push)).collect();
        if !by.is_empty() {
            found.push((source.clone(), Due::after(&by)));
            idle.retain(|push| !by.contains(&push));
        }
    }
    (found, idle.into_iter().collect())
}

fn taken(receiver: &Receiver, triggered: Vec<String>, ignored: Vec<String>, again: bool) -> HookAnswer {
    tracing::info!(
        receiver = receiver.name,
        sender = receiver.sender.as_str(),
        triggered = triggered.join(" "),
        ignored = ignored.join("; "),
        "webhook"
    );
    HookAnswer::Taken { triggered, ignored, again }
}

fn proofs(headers: &HeaderMap) -> Headers<'_> {
    let value = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    Headers {
        authorization: value(header::AUTHORIZATION.as_str()),
        hub_signature: value("x-hub-signature-256"),
        timestamp: value("supercargo-timestamp"),
        signature: value("supercargo-signature"),
    }
}

async fn whole(body: Incoming) -> Result<Bytes, HookAnswer> {
    timeout(BODY_TIMEOUT, read(body)).await.unwrap_or(Err(HookAnswer::TooSlow))
}

/// Reads a body. A little more than the limit is read and dropped: a sender that is cut off while
/// sending does not get the answer.
async fn read(mut body: Incoming) -> Result<Bytes, HookAnswer> {
    if body.size_hint().lower() > MAX_READ as u64 {
        return Err(HookAnswer::TooLarge);
    }
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        // The connection is broken: the answer is not received.
        let Ok(data) = frame.map_err(|_| HookAnswer::TooSlow)?.into_data() else { continue };
        length += data.len();
        if length > MAX_READ {
            return Err(HookAnswer::TooLarge);
        }
        if length <= MAX_BODY {
            whole.extend_from_slice(&data);
        }
    }
    if length > MAX_BODY { Err(HookAnswer::TooLarge) } else { Ok(whole.into()) }
}

/// Identifies a delivery: the signed time is a part of it, because our own format has nothing else
/// to distinguish two pushes of one tag.
fn name(receiver: &Receiver, headers: &Headers<'_>, body: &[u8]) -> Name {
    let timestamp = headers.timestamp.filter(|_| headers.signature.is_some()).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [receiver.name.as_bytes(), timestamp, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
