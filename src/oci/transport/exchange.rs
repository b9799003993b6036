//! One HTTP exchange with a registry: retries, redirects, and the rules about who may
//! receive credentials and where a registry may redirect us.
//!
//! Nothing here knows what a manifest is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RANGE};
use http::{Method, StatusCode};
use reqwest::{Client, RequestBuilder, Url};
use tokio::sync::watch;

use super::client::{Clients, is_proxied};
use super::failure::{is_blocked, outcome_of, silent, speaks_plain_http, unavailable};
use super::observer::{Advance, Meter, Observer, RequestOutcome, RequestRecord};
use super::pace::Paces;
use super::reach::Reach;
use super::reply::Reply;
use super::request::Request;
use super::resolver::Hosts;
use super::upload::{Upload, watched};
use crate::oci::credentials::Access;
use crate::oci::error::{OciError, Outage};
use crate::oci::limits::{MAX_REDIRECTS, MAX_RETRIES, MAX_RETRY_AFTER, RETRY_PAUSE, UPLOAD_CHUNK};
use crate::oci::reference::{Digest, Repository, Zone, authority};

/// The target of log lines. Filters use it, so it stays the same when a file moves.
const LOG: &str = "supercargo::oci::transport";
/// Hex digits of a digest in the output.
const SHOWN_DIGITS: usize = 12;

pub(in crate::oci) struct TransportOptions {
    pub user_agent: String,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub observer: Option<Observer>,
    pub meter: Option<Meter>,
    pub hosts: Hosts,
}

/// The HTTP clients and the per-host limits of the process.
pub(in crate::oci) struct Transport {
    idle_timeout: Duration,
    observer: Option<Observer>,
    meter: Option<Meter>,
    clients: Clients,
    paces: Paces,
}

impl Transport {
    pub fn new(options: TransportOptions) -> Self {
        let TransportOptions { user_agent, connect_timeout, idle_timeout, observer, meter, hosts } = options;
        let clients = Clients::new(user_agent, connect_timeout, hosts);
        Self { idle_timeout, observer, meter, clients, paces: Paces::default() }
    }

    /// The URL of a path below the repository's API.
    pub fn url(repository: &Repository, access: &Access, rest: &str) -> Result<Url, OciError> {
        let text = format!("{}://{}/v2/{}/{rest}", access.scheme(), repository.api_host(), repository.path());
        Url::parse(&text).map_err(|e| OciError::Spec(format!("{repository} does not form a URL: {e}")))
    }

    /// Sends the request; retries if it is idempotent and the failure is temporary.
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

    /// Whether the registry answers now, with any answer; without a retry.
    pub async fn answers(&self, repository: &Repository, access: &Access) -> bool {
        let text = format!("{}://{}/v2/", access.scheme(), repository.api_host());
        let Ok(url) = Url::parse(&text) else { return false };
        let reply = self.once(access, &Request::new(Method::GET, url)).await;
        let refused = |reply: &Reply| reply.status.is_server_error() || reply.retry_after().is_some();
        reply.is_ok_and(|reply| !refused(&reply))
    }

    /// Sends the request and follows redirects of reads. Credentials stay with their
    /// origin, HTTPS stays HTTPS, and no server redirects us nearer to this process than
    /// it is itself.
    async fn follow(&self, access: &Access, request: &Request) -> Result<Reply, Failure> {
        let mut request = request.clone();
        request.reach = request.reach.within(self.clients.reach(access).await);
        let origin = request.url.origin();
        for _ in 0..=MAX_REDIRECTS {
            let reply = self.once(access, &request).await?;
            let reads = matches!(request.method, Method::GET | Method::HEAD);
            if !reads || !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(reply);
            }
            let next = redirect_target(&reply).map_err(|why| refused(&request.url, why))?;
            let same_host = next.host() == request.url.host();
            request.reach = request.reach.redirected(reply.zone, same_host);
            let host = next.host_str().unwrap_or_default();
            request
                .reach
                .check(host)
                .map_err(|kind| refused(&request.url, format!("it redirects to {host}, {kind}")))?;
            if next.origin() != origin {
                request.authorization = None;
                request.identified = false;
                request.headers.clear();
            }
            request.url = next;
        }
        Err(refused(&request.url, format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    async fn once(&self, access: &Access, request: &Request) -> Result<Reply, Failure> {
        let host = authority(&request.url);
        let fail = |error| Failure { error, again: false };
        if let Err(kind) = request.reach.check(request.url.host_str().unwrap_or_default()) {
            let why = match request.reach {
                Reach::NAMED_BY_RELEASE => "which is no address of a registry",
                _ => "which only the artifact or a server named",
            };
            return Err(refused(&request.url, format!("it is {kind}, {why}")));
        }
        let client = self.clients.of(access, request).map_err(fail)?;
        let place = self.paces.enter(&host, access.id()).await.map_err(fail)?;
        let (handed, upload) = Upload::of(request.body.as_ref().map_or(0, |(_, body)| body.len()));
        let (builder, idle) = (prepared(&client, request, handed), self.idle_timeout);
        let started = Instant::now();
        let Some(sent) = upload.watch(idle, builder.send()).await else {
            self.observe(&host, &request.method, RequestOutcome::TimedOut, started.elapsed());
            return Err(fail(silent(&host)));
        };
        let outcome = sent.as_ref().map_or_else(outcome_of, |r| RequestOutcome::Status(r.status().as_u16()));
        self.observe(&host, &request.method, outcome, started.elapsed());
        match sent {
            Ok(response) => {
                let zone = zone_of(access, &request.url, &response);
                let reply = Reply::new(response, request.url.clone(), zone, idle, place);
                if let Some(wait) = reply.retry_after() {
                    self.paces.slow(&host, access.id(), wait);
                }
                Ok(reply)
            }
            Err(e) => {
                // A setting cures it only for the registry that the user named.
                let is_named =
                    access.home().is_none() && request.identified && request.url.path().starts_with("/v2/");
                let error = match speaks_plain_http(&e) && is_named {
                    true => OciError::Unavailable { host: host.clone(), why: Outage::PlainHttp },
                    false => unavailable(&host, &e),
                };
                // A host without an answer is not retried here; the caller's schedule
                // waits for it.
                Err(Failure { again: outcome != RequestOutcome::TimedOut && !is_blocked(&e), error })
            }
        }
    }

    /// Reports the begin of a transfer to the meter.
    pub fn meter(&self, digest: &Digest, bytes: usize) -> Option<Advance> {
        let shown = digest.hex().get(..SHOWN_DIGITS).unwrap_or_default();
        self.meter.as_ref().map(|meter| meter(shown, bytes as u64))
    }

    fn observe(&self, host: &str, method: &Method, outcome: RequestOutcome, elapsed: Duration) {
        // Without the path: that of a redirect may contain a credential.
        let seconds = elapsed.as_secs_f64();
        tracing::debug!(target: LOG, host, method = method_name(method), ?outcome, seconds, "registry request");
        if let Some(observer) = &self.observer {
            observer(&RequestRecord { host: host.to_owned(), method: method_name(method), outcome, elapsed });
        }
    }
}

/// The request as it is sent. `handed` gets every piece of the body that the connection
/// takes.
fn prepared(client: &Client, request: &Request, handed: watch::Sender<u64>) -> RequestBuilder {
    let mut builder = client.request(request.method.clone(), request.url.clone());
    if let Some(accept) = request.accept {
        builder = builder.header(ACCEPT, accept);
    }
    if let Some(authorization) = &request.authorization {
        builder = builder.header(AUTHORIZATION, authorization.clone());
    }
    for (name, value) in &request.headers {
        builder = builder.header(name.clone(), value.clone());
    }
    if let Some(from) = request.from {
        builder = builder.header(RANGE, format!("bytes={from}-"));
    }
    let Some((content_type, body)) = &request.body else {
        return builder;
    };
    builder = builder.header(CONTENT_TYPE, content_type);
    if request.advance.is_none() && body.len() <= UPLOAD_CHUNK {
        return builder.body(body.clone());
    }
    let advance = request.advance.clone();
    let progress = move |bytes: u64| {
        handed.send_modify(|sum| *sum += bytes);
        if let Some(advance) = &advance {
            advance(bytes);
        }
    };
    builder.header(CONTENT_LENGTH, body.len()).body(watched(body.clone(), Arc::new(progress)))
}

struct Failure {
    error: OciError,
    again: bool,
}

/// How long to wait before a retry; `None` accepts the answer.
fn retry_after(reply: &Reply, pause: Duration) -> Option<Duration> {
    let passing = reply.status == StatusCode::TOO_MANY_REQUESTS
        || matches!(reply.status.as_u16(), 500 | 502 | 503 | 504);
    if !passing {
        return None;
    }
    let wait = reply.retry_after().unwrap_or(pause);
    (wait <= MAX_RETRY_AFTER).then_some(wait)
}

fn redirect_target(reply: &Reply) -> Result<Url, String> {
    let location = reply.headers.get(LOCATION).and_then(|v| v.to_str().ok());
    let next = location
        .and_then(|l| reply.url.join(l).ok())
        .ok_or_else(|| "it redirects without a location".to_owned())?;
    let host = next.host_str().unwrap_or_default();
    match (reply.url.scheme(), next.scheme()) {
        ("https", "https") | ("http", "http" | "https") => {}
        (_, other) => return Err(format!("it redirects to {host} over {other}")),
    }
    Ok(next)
}

fn refused(url: &Url, why: String) -> Failure {
    Failure { error: OciError::Unavailable { host: authority(url), why: why.into() }, again: false }
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

/// The zone of the answer. Behind a proxy it is unknown; if the URL does not show it,
/// the Internet is assumed.
fn zone_of(access: &Access, url: &Url, response: &reqwest::Response) -> Zone {
    let named = Zone::of_host(url.host_str().unwrap_or_default());
    if is_proxied(access, url) {
        return named.unwrap_or(Zone::Public);
    }
    response.remote_addr().map(|peer| Zone::of(peer.ip())).or(named).unwrap_or(Zone::Public)
}
