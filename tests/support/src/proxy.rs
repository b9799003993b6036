//! Faults from outside: a proxy before the real API server or the real registry.
//!
//! It counts what passes, and a test can let it hold a request before it is
//! forwarded, hold an answer after the request has landed, answer in the
//! server's place, or say nothing. The program under test and the server know
//! nothing of it.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::certificates::{Authority, Identity};
use crate::fetch::{self, Trust};
use crate::{Bed, ports};

/// A request as the proxy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`, `PATCH`, …
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The client's `User-Agent`.
    pub agent: String,
    /// Who the client asked to be taken for, if anybody.
    pub impersonated: Option<String>,
    /// What the client showed of itself, if anything.
    pub authorization: Option<String>,
}

impl Seen {
    /// Whether the request may change something in Kubernetes: no read and no
    /// dry run.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS") && !self.path.contains("dryRun=All")
    }
}

/// A request that was carried out, and its answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The request.
    pub seen: Seen,
    /// The HTTP status of the answer.
    pub code: u16,
    /// The body of the answer.
    pub body: Bytes,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Forwarded, and the answer streamed back.
    Pass,
    /// Not forwarded until [`Proxy::release`]; a client that goes away takes it
    /// with it.
    HoldBefore,
    /// Forwarded and carried out, also when the client goes away; the answer is
    /// kept back until [`Proxy::release`].
    HoldAfter,
    /// Not forwarded; answered with this status and body.
    Answer(u16, String),
    /// The same with this header too.
    AnswerWith(u16, (http::HeaderName, String), String),
    /// Not forwarded, and not answered: its connection ends, or its part of one.
    Cut,
    /// Forwarded; the body of the answer is replaced, its headers are not, but
    /// for the length.
    ReplaceBody(Bytes),
    /// Forwarded with this path and query in the place of its own.
    Rewrite(String),
}

impl Fate {
    /// Answered as by an API server that is busy, and asks for another try after so long.
    pub fn too_many_requests(seconds: u32) -> Self {
        let busy = format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests",
            "code":429,"message":"too many requests","details":{{"retryAfterSeconds":{seconds}}}}}"#
        );
        Self::Answer(429, busy)
    }
}

/// When a request or its answer is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before it is forwarded.
    Before,
    /// After it has landed, before its answer is passed on.
    After,
}

/// The fates of requests one after the other: the `nth` (from 1) is held, and every one after it.
pub fn held_from(nth: u64, moment: Moment) -> impl FnMut() -> Fate + Send + 'static {
    let mut count = 0;
    move || {
        count += 1;
        match moment {
            _ if count < nth => Fate::Pass,
            // What comes after the nth must not land either.
            Moment::After if count == nth => Fate::HoldAfter,
            Moment::Before | Moment::After => Fate::HoldBefore,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    GoOn,
    Discard,
}

type Rule = Box<dyn FnMut(&Seen) -> Fate + Send>;
type Choice = Box<dyn Fn(&Seen) -> bool + Send>;
type Body = UnsyncBoxBody<Bytes, hyper::Error>;
type Upstream = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

struct Shared {
    upstream: Upstream,
    target: String,
    rule: Mutex<Rule>,
    seen: Mutex<Vec<Seen>>,
    recorded: Mutex<Option<Choice>>,
    answers: Mutex<Vec<Answered>>,
    held: watch::Sender<Vec<(Seen, Moment)>>,
    // What became of those that were held, each time the test has decided: a held
    // request waits for the next decision.
    decided: watch::Sender<Decision>,
    silent: watch::Sender<bool>,
}

/// One proxy, gone when dropped.
pub struct Proxy {
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    shared: Arc<Shared>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
    // Dropped last; ends every task.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Proxy {
    /// A proxy before the API server of `bed`. It serves TLS with a certificate
    /// of the same CA, so a kubeconfig differs only in its `server`; it speaks
    /// HTTP/2 to who wants it.
    pub fn before_api_server(bed: &Bed) -> Proxy {
        let authority: &Authority = bed.authority();
        Proxy::start(bed.url(), Some(authority.certificate()), Some(&authority.server()))
    }

    /// A proxy on plain HTTP before a registry, or any other server at `target`
    /// (an URL without a path) whose certificate, if any, is of `authority`.
    pub fn before(target: &str, authority: Option<&str>) -> Proxy {
        Proxy::start(target, authority, None)
    }

    fn start(target: &str, authority: Option<&str>, identity: Option<&Identity>) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let shared = Shared {
            upstream: fetch::client(Trust { authority, identity: None }),
            target: target.to_owned(),
            rule: Mutex::new(Box::new(|_| Fate::Pass)),
            seen: Mutex::default(),
            recorded: Mutex::default(),
            answers: Mutex::default(),
            held: watch::Sender::default(),
            decided: watch::Sender::new(Decision::GoOn),
            silent: watch::Sender::default(),
        };
        let mut proxy = Proxy {
            address: SocketAddr::from(([127, 0, 0, 1], ports::free())),
            tls: identity.map(|identity| Arc::new(server_config(identity))),
            shared: Arc::new(shared),
            tasks: Arc::default(),
            runtime: Some(runtime.expect("a runtime")),
        };
        proxy.listen();
        proxy
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The URL that clients use.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// The kubeconfig of somebody, with this proxy in the place of the server.
    pub fn kubeconfig(&self, original: &str) -> String {
        original.replace(&self.shared.target, &self.url())
    }

    /// Decides what becomes of each request from now on. Called once for each,
    /// in the order of their arrival.
    pub fn rule(&self, rule: impl FnMut(&Seen) -> Fate + Send + 'static) {
        *self.shared.rule.lock().expect("lock") = Box::new(rule);
    }

    /// Passes everything from now on.
    pub fn pass_all(&self) {
        self.rule(|_| Fate::Pass);
    }

    /// Holds the `nth` request (from 1) of those that `which` chooses, counted
    /// from now on, and every one chosen after it.
    pub fn hold_from(&self, nth: u64, moment: Moment, which: impl Fn(&Seen) -> bool + Send + 'static) {
        let mut next = held_from(nth, moment);
        self.rule(move |seen| if which(seen) { next() } else { Fate::Pass });
    }

    /// Waits until something is held, and returns what was held first: when it
    /// is held after, it has landed. None when nothing was within `limit`.
    pub fn wait_held(&self, limit: Duration, moment: Moment) -> Option<Seen> {
        let mut held = self.shared.held.subscribe();
        let found =
            |all: &Vec<(Seen, Moment)>| all.iter().find(|(_, m)| *m == moment).map(|(seen, _)| seen.clone());
        let wait = async {
            let ready = held.wait_for(|all| found(all).is_some());
            tokio::time::timeout(limit, ready).await.ok()?.ok().and_then(|all| found(&all))
        };
        self.block_on(wait)
    }

    /// Lets everything held go on, and forgets what was held. What comes later
    /// meets the rule again.
    pub fn release(&self) {
        self.decide(Decision::GoOn);
    }

    /// Forgets everything held: what has not landed never will, and its client
    /// gets an error if it is still there. What has landed stays. After the client
    /// has been killed nothing else is certain, since its connection may be seen
    /// to be closed only later.
    pub fn discard(&self) {
        self.decide(Decision::Discard);
    }

    fn decide(&self, decision: Decision) {
        self.shared.held.send_modify(Vec::clear);
        self.shared.decided.send_replace(decision);
    }

    /// With `true`: accepts connections and requests and never answers. With
    /// `false` everything that waits goes on.
    pub fn silent(&self, silent: bool) {
        self.shared.silent.send_replace(silent);
    }

    /// Closes every connection and refuses new ones until [`Proxy::listen`].
    pub fn refuse(&self) {
        for task in self.tasks.lock().expect("lock").drain(..) {
            task.abort();
        }
        // The listener is closed when its task has been dropped.
        let closed = || std::net::TcpStream::connect(self.address).is_err();
        crate::poll_until("the proxy closes its port", Duration::from_secs(10), closed, String::new);
    }

    /// Closes every connection, watches with them, and goes on listening.
    pub fn cut(&mut self) {
        self.refuse();
        self.listen();
    }

    /// Listens again after [`Proxy::refuse`].
    pub fn listen(&mut self) {
        let listener = StdListener::bind(self.address).expect("listen on a free port");
        listener.set_nonblocking(true).expect("a socket");
        let (shared, tls, tasks) = (self.shared.clone(), self.tls.clone(), self.tasks.clone());
        let accept = async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let task = tokio::spawn(connection(shared.clone(), tls.clone(), stream));
                tasks.lock().expect("lock").push(task.abort_handle());
            }
        };
        let runtime = self.runtime.as_ref().expect("the proxy runs");
        self.tasks.lock().expect("lock").push(runtime.spawn(accept).abort_handle());
    }

    /// All requests since the start or [`Proxy::forget`], in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("lock").clone()
    }

    /// How many of them `which` chooses.
    pub fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.shared.seen.lock().expect("lock").iter().filter(|seen| which(seen)).count()
    }

    /// Keeps the answers to the requests that `which` chooses, from now on. These are carried out
    /// also when the client goes away.
    pub fn record(&self, which: impl Fn(&Seen) -> bool + Send + 'static) {
        *self.shared.recorded.lock().expect("lock") = Some(Box::new(which));
    }

    /// The answers since the last call, in the order in which they came.
    pub fn take_answers(&self) -> Vec<Answered> {
        std::mem::take(&mut self.shared.answers.lock().expect("lock"))
    }

    /// Starts the list of requests anew.
    pub fn forget(&self) {
        self.shared.seen.lock().expect("lock").clear();
    }

    // A thread of its own, since the caller may be inside of a runtime.
    fn block_on<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        let handle = self.runtime.as_ref().expect("the proxy runs").handle();
        std::thread::scope(|scope| scope.spawn(|| handle.block_on(work)).join().expect("wait"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn server_config(identity: &Identity) -> rustls::ServerConfig {
    let (certificate, key) = identity.to_der();
    let mut config = rustls::ServerConfig::builder_with_provider(fetch::provider())
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn connection(shared: Arc<Shared>, tls: Option<Arc<rustls::ServerConfig>>, stream: TcpStream) {
    // Without this each small answer waits for an acknowledgement.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| answer(shared.clone(), request));
    // An error here is a client that went away, which tests do on purpose.
    match tls {
        Some(config) => {
            let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            } else {
                let server = hyper::server::conn::http1::Builder::new();
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            }
        }
        None => {
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let seen = see(&request);
    shared.seen.lock().expect("lock").push(seen.clone());
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    drop(shared.silent.subscribe().wait_for(|silent| !silent).await);
    let fate = (shared.rule.lock().expect("lock"))(&seen);
    match fate {
        Fate::Cut => Err("the proxy was told to cut it".into()),
        Fate::Answer(code, text) => Ok(plain(code, text)),
        Fate::AnswerWith(code, (name, value), text) => {
            let mut answer = plain(code, text);
            answer.headers_mut().insert(name, value.parse().expect("the value of a header"));
            Ok(answer)
        }
        Fate::Pass => Ok(carry_out(&shared, seen, parts, body).await),
        Fate::HoldBefore => Ok(match hold(&shared, seen.clone(), Moment::Before).await {
            Decision::GoOn => carry_out(&shared, seen, parts, body).await,
            Decision::Discard => discarded(),
        }),
        Fate::HoldAfter => {
            let task = shared.clone();
            // A task of its own: it lands also when the client is killed now.
            let landed = tokio::spawn(async move {
                let answer = carry_out(&task, seen.clone(), parts, body).await;
                match hold(&task, seen, Moment::After).await {
                    Decision::GoOn => answer,
                    Decision::Discard => discarded(),
                }
            });
            Ok(landed.await.unwrap_or_else(|_| plain(502, "the proxy is ending".to_owned())))
        }
        Fate::Rewrite(path) => {
            parts.uri = path.parse()?;
            Ok(carry_out(&shared, seen, parts, body).await)
        }
        Fate::ReplaceBody(bytes) => {
            let mut head = forward(&shared, parts, body).await.into_parts().0;
            head.headers.insert(http::header::CONTENT_LENGTH, bytes.len().into());
            Ok(http::Response::from_parts(head, full(bytes)))
        }
    }
}

fn see(request: &http::Request<Incoming>) -> Seen {
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Seen {
        method: request.method().to_string(),
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        agent: header("user-agent").unwrap_or_default(),
        impersonated: header("impersonate-user"),
        authorization: header("authorization"),
    }
}

async fn hold(shared: &Shared, seen: Seen, moment: Moment) -> Decision {
    let mut decided = shared.decided.subscribe();
    shared.held.send_modify(|held| held.push((seen, moment)));
    match decided.changed().await {
        Ok(()) => *decided.borrow(),
        Err(_) => Decision::Discard,
    }
}

fn discarded() -> http::Response<Body> {
    plain(502, "the proxy was told to discard what it held".to_owned())
}

// Forwards a request, and keeps the answer if it is to be recorded.
async fn carry_out(
    shared: &Arc<Shared>,
    seen: Seen,
    parts: http::request::Parts,
    body: Bytes,
) -> http::Response<Body> {
    let is_recorded = shared.recorded.lock().expect("lock").as_ref().is_some_and(|which| which(&seen));
    if !is_recorded {
        return forward(shared, parts, body).await;
    }
    let task = shared.clone();
    let recorded = tokio::spawn(async move {
        let (head, body) = forward(&task, parts, body).await.into_parts();
        let Ok(body) = body.collect().await else { return plain(502, "the answer was cut".to_owned()) };
        let (code, body) = (head.status.as_u16(), body.to_bytes());
        task.answers.lock().expect("lock").push(Answered { seen, code, body: body.clone() });
        http::Response::from_parts(head, full(body))
    });
    recorded.await.unwrap_or_else(|_| plain(502, "the proxy is ending".to_owned()))
}

async fn forward(shared: &Shared, mut parts: http::request::Parts, body: Bytes) -> http::Response<Body> {
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    parts.uri = format!("{}{path}", shared.target).parse().expect("a URL");
    parts.version = http::Version::HTTP_11;
    remove_hop_headers(&mut parts.headers);
    // The client's own `host` stays: a registry names it in its `Location`, and so
    // the client comes back to the proxy.
    match shared.upstream.request(http::Request::from_parts(parts, Full::new(body))).await {
        Ok(answer) => {
            let (mut head, body) = answer.into_parts();
            remove_hop_headers(&mut head.headers);
            head.version = http::Version::HTTP_11;
            http::Response::from_parts(head, body.boxed_unsync())
        }
        Err(error) => plain(502, format!("the server behind the proxy: {error:?}")),
    }
}

// Those of one connection, which HTTP/2 forbids.
fn remove_hop_headers(headers: &mut http::HeaderMap) {
    for name in
        ["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"]
    {
        headers.remove(name);
    }
}

fn plain(code: u16, text: String) -> http::Response<Body> {
    let mut answer = http::Response::new(full(Bytes::from(text)));
    *answer.status_mut() = http::StatusCode::from_u16(code).expect("a status");
    answer
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
