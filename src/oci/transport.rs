//! One HTTP exchange with a registry: limits per host, retries, redirects, and
//! the rules about who gets to see credentials.
//!
//! Nothing here knows what a manifest is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::{Certificate, Client, Identity, RequestBuilder, Url};
use tokio::sync::{Semaphore, watch};

use super::access::{Access, Fingerprint};
use super::limits::{
    MAX_REDIRECTS, MAX_REMEMBERED, MAX_RETRIES, MAX_RETRY_AFTER, REQUESTS_PER_HOST, RETRY_PAUSE, UPLOAD_CHUNK,
};
use super::reference::is_loopback;
use super::reply::Reply;
use super::upload::{Upload, watched};
use super::{Digest, OciError, Repository};

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered with this status.
    Status(u16),
    /// No connection.
    ConnectFailed,
    /// No progress in time.
    TimedOut,
    /// The connection broke.
    Broken,
}

/// One request as it was sent, for metrics and tests.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The host and port it went to.
    pub host: String,
    /// The HTTP method: `HEAD`, `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Until the head of the answer.
    pub elapsed: Duration,
}

/// Is told of every request.
pub type Observer = Arc<dyn Fn(&RequestRecord) + Send + Sync>;

/// Is told of more bytes of a transfer; dropped at its end.
pub type Advance = Arc<dyn Fn(u64) + Send + Sync>;

/// Is told of a transfer when it begins, by a name for people and its size in
/// bytes.
pub type Meter = Arc<dyn Fn(&str, u64) -> Advance + Send + Sync>;

/// Hex digits of a digest that people are shown.
const SHOWN_DIGITS: usize = 12;

pub(super) struct TransportOptions {
    pub user_agent: String,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub observer: Option<Observer>,
    pub meter: Option<Meter>,
}

/// The HTTP clients and the per-host limits of the process.
pub(super) struct Transport {
    options: TransportOptions,
    clients: Mutex<HashMap<(Fingerprint, bool), Client>>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A request, whatever its credentials.
#[derive(Clone)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub accept: Option<&'static str>,
    pub authorization: Option<HeaderValue>,
    pub body: Option<(String, Bytes)>,
    /// Who watches the body leave.
    pub advance: Option<Advance>,
}

impl Request {
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, accept: None, authorization: None, body: None, advance: None }
    }

    fn is_idempotent(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

impl Transport {
    pub fn new(options: TransportOptions) -> Self {
        // Another part of the process may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { options, clients: Mutex::default(), hosts: Mutex::default() }
    }

    /// The URL of a path below the repository's API.
    pub fn url(repository: &Repository, access: &Access, rest: &str) -> Result<Url, OciError> {
        let text = format!("{}://{}/v2/{}/{rest}", access.scheme(), repository.api_host(), repository.path());
        Url::parse(&text).map_err(|e| OciError::Spec(format!("{repository} does not make a URL: {e}")))
    }

    /// Sends the request, again if it is idempotent and the failure may pass.
    pub async fn send(&self, access: &Access, request: &Request) -> Result<Reply, OciError> {
        let mut pause = RETRY_PAUSE;
        let retries = if request.is_idempotent() { MAX_RETRIES } else { 0 };
        for _ in 0..retries {
            let wait = match self.follow(access, request).await {
                Ok(reply) => match retry_after(&reply, pause) {
                    Some(wait) => wait,
                    None => return Ok(reply),
                },
                Err(Failure { error, again: false }) => return Err(error),
                Err(_) => pause,
            };
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        self.follow(access, request).await.map_err(|failure| failure.error)
    }

    /// Sends the request and follows redirects of reads. Credentials stay with
    /// the origin that they were meant for, HTTPS stays HTTPS.
    async fn follow(&self, access: &Access, request: &Request) -> Result<Reply, Failure> {
        let mut request = request.clone();
        let origin = request.url.origin();
        for _ in 0..=MAX_REDIRECTS {
            let reply = self.once(access, &request).await?;
            let reads = matches!(request.method, Method::GET | Method::HEAD);
            if !reads || !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(reply);
            }
            let next = redirect_target(&reply).map_err(|why| refused(&request.url, why))?;
            if next.origin() != origin {
                request.authorization = None;
            }
            request.url = next;
        }
        Err(refused(&request.url, format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    async fn once(&self, access: &Access, request: &Request) -> Result<Reply, Failure> {
        let host = authority(&request.url);
        let client = self.client(access, &request.url).map_err(|error| Failure { error, again: false })?;
        let permit = self.places(&host).acquire_owned().await.ok();
        let (handed, upload) = Upload::of(request.body.as_ref().map_or(0, |(_, body)| body.len()));
        let (builder, idle) = (prepared(&client, request, handed), self.options.idle_timeout);
        let started = Instant::now();
        let Some(sent) = upload.watch(idle, builder.send()).await else {
            self.observe(&host, &request.method, Outcome::TimedOut, started.elapsed());
            return Err(Failure { again: false, error: silent(&host) });
        };
        let outcome = sent.as_ref().map_or_else(outcome_of, |r| Outcome::Status(r.status().as_u16()));
        self.observe(&host, &request.method, outcome, started.elapsed());
        match sent {
            Ok(response) => Ok(Reply {
                idle,
                status: response.status(),
                headers: response.headers().clone(),
                url: request.url.clone(),
                response,
                _place: permit,
            }),
            // A host that is silent once would be so again; the caller's
            // schedule is the place to wait for it.
            Err(e) => Err(Failure { again: outcome != Outcome::TimedOut, error: unavailable(&host, &e) }),
        }
    }

    /// Tells whoever watches that a transfer begins.
    pub fn meter(&self, digest: &Digest, bytes: usize) -> Option<Advance> {
        let shown = digest.hex().get(..SHOWN_DIGITS).unwrap_or_default();
        self.options.meter.as_ref().map(|meter| meter(shown, bytes as u64))
    }

    fn observe(&self, host: &str, method: &Method, outcome: Outcome, elapsed: Duration) {
        if let Some(observer) = &self.options.observer {
            observer(&RequestRecord { host: host.to_owned(), method: method_name(method), outcome, elapsed });
        }
    }

    /// The places for requests to one host, so that a silent one holds up
    /// nobody but itself.
    fn places(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_REMEMBERED {
            hosts.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(
            hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_PER_HOST))),
        )
    }

    /// The client for these TLS settings. Loopback is never behind a proxy.
    fn client(&self, access: &Access, url: &Url) -> Result<Client, OciError> {
        let local = url.host_str().is_some_and(is_loopback);
        let key = (access.transport(), local);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        if clients.len() >= MAX_REMEMBERED / 16 {
            clients.clear();
        }
        let client = self.build(access, local)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, access: &Access, local: bool) -> Result<Client, OciError> {
        let parts = access.parts();
        let mut builder = Client::builder()
            .user_agent(&self.options.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.options.connect_timeout)
            .pool_max_idle_per_host(4);
        if local {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &parts.ca {
            let certs = Certificate::from_pem_bundle(pem).ok().filter(|certs| !certs.is_empty());
            let bad = || OciError::Secret("ca.crt holds no PEM certificate".into());
            builder = builder.tls_certs_merge(certs.ok_or_else(bad)?);
        }
        if let Some((cert, key)) = &parts.client_cert {
            let pem = [cert.as_slice(), b"\n", key].concat();
            let bad =
                |_| OciError::Secret("tls.crt and tls.key are not a PEM certificate and its key".into());
            builder = builder.identity(Identity::from_pem(&pem).map_err(bad)?);
        }
        if parts.insecure && parts.ca.is_none() {
            // No certificate is looked at; a machine without any can do this.
            builder = builder.tls_certs_only([]);
        }
        builder
            .build()
            .map_err(|e| OciError::Secret(format!("the TLS settings cannot be used: {}", root_cause(&e))))
    }
}

/// The request as it is sent. Whoever waits for the answer is told of every
/// piece of the body that the connection takes.
fn prepared(client: &Client, request: &Request, handed: watch::Sender<u64>) -> RequestBuilder {
    let mut builder = client.request(request.method.clone(), request.url.clone());
    if let Some(accept) = request.accept {
        builder = builder.header(ACCEPT, accept);
    }
    if let Some(authorization) = &request.authorization {
        builder = builder.header(AUTHORIZATION, authorization.clone());
    }
    let Some((content_type, body)) = &request.body else {
        return builder;
    };
    builder = builder.header(CONTENT_TYPE, content_type);
    if request.advance.is_none() && body.len() <= UPLOAD_CHUNK {
        return builder.body(body.clone());
    }
    let advance = request.advance.clone();
    let told = move |bytes: u64| {
        handed.send_modify(|sum| *sum += bytes);
        if let Some(advance) = &advance {
            advance(bytes);
        }
    };
    builder.header(CONTENT_LENGTH, body.len()).body(watched(body.clone(), Arc::new(told)))
}

struct Failure {
    error: OciError,
    again: bool,
}

/// How long to wait before this answer is asked for again; `None` takes it.
fn retry_after(reply: &Reply, pause: Duration) -> Option<Duration> {
    let passing = reply.status == StatusCode::TOO_MANY_REQUESTS
        || matches!(reply.status.as_u16(), 500 | 502 | 503 | 504);
    if !passing {
        return None;
    }
    let asked =
        reply.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
    let wait = asked.map_or(pause, Duration::from_secs);
    (wait <= MAX_RETRY_AFTER).then_some(wait)
}

fn redirect_target(reply: &Reply) -> Result<Url, String> {
    let location = reply.headers.get(LOCATION).and_then(|v| v.to_str().ok());
    let next = location
        .and_then(|l| reply.url.join(l).ok())
        .ok_or_else(|| "it redirects without saying where to".to_owned())?;
    let host = next.host_str().unwrap_or_default();
    match (reply.url.scheme(), next.scheme()) {
        ("https", "https") | ("http", "http" | "https") => {}
        (_, other) => return Err(format!("it redirects to {host} over {other}")),
    }
    if is_link_local(&next) {
        return Err(format!("it redirects to {host}, a link-local address"));
    }
    Ok(next)
}

/// Addresses where machines keep their own metadata and credentials.
fn is_link_local(url: &Url) -> bool {
    match url.host_str().map(|h| h.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>())
    {
        Some(Ok(std::net::IpAddr::V4(ip))) => ip.is_link_local(),
        Some(Ok(std::net::IpAddr::V6(ip))) => {
            ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local())
        }
        _ => false,
    }
}

fn refused(url: &Url, why: String) -> Failure {
    Failure { error: OciError::Unavailable { host: authority(url), why }, again: false }
}

/// The methods that this room uses, as a closed set.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        _ => "GET",
    }
}

/// Host and port, as people write them.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn outcome_of(error: &reqwest::Error) -> Outcome {
    if error.is_timeout() {
        Outcome::TimedOut
    } else if error.is_connect() {
        Outcome::ConnectFailed
    } else {
        Outcome::Broken
    }
}

/// A host of which nothing was heard in time.
pub(super) fn silent(host: &str) -> OciError {
    OciError::Unavailable { host: host.to_owned(), why: "no answer in time".to_owned() }
}

pub(super) fn unavailable(host: &str, error: &reqwest::Error) -> OciError {
    let why = match outcome_of(error) {
        Outcome::TimedOut if error.is_connect() => "no connection in time".to_owned(),
        Outcome::TimedOut => "no answer in time".to_owned(),
        Outcome::ConnectFailed => format!("cannot connect: {}", root_cause(error)),
        _ => format!("the connection broke: {}", root_cause(error)),
    };
    OciError::Unavailable { host: host.to_owned(), why }
}

/// The innermost message: the outer ones repeat the URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
