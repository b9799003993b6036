//! Connections to the API server: HTTP/2 where TLS negotiates it. The lease, requests and
//! watches have separate connections, and none has more streams than the API server
//! allows.
//!
//! kube's own client speaks HTTP/1.1, one connection a watch
//! (kube-rs/kube#1923); its configuration and authentication are used here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::ConfigExt;
use kube::config::AuthInfo;
use tokio::sync::Notify;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::body::RequestBody;
use super::plugin;
use super::resolver::Resolver;
use crate::cluster::error::ApiError;
use crate::domain::proxy::{ProxyUrl, Scheme};
use crate::domain::remote::kubeconfig::RemoteReach;

/// Streams on one connection. The API server allows 100, and a load balancer in front of
/// it may allow fewer: a request beyond the limit waits until another one ends, which for
/// a watch takes minutes.
const STREAMS_PER_CONNECTION: usize = 80;
/// How long a watch waits for the head of its answer on a shared connection. After that
/// the connection counts as full, and another one is tried.
const WATCH_PATIENCE: Duration = Duration::from_secs(5);
/// How many connections are tried for a watch.
const WATCH_ATTEMPTS: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection is pinged, and how long the answer may take: together less than
/// the leader's deadline, so that a dead connection is replaced before the lease is lost.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(60);

type Service = BoxCloneSyncService<Request<RequestBody>, Response<Incoming>, BoxError>;

/// The class of a request: each has its own connections, so that many of one class do not
/// delay another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The lease.
    Lease,
    /// Every request that is not a watch.
    Request,
    /// Watches.
    Watch,
}

/// How the API server is reached.
struct Way {
    config: Config,
    /// The addresses that are allowed; all when absent.
    reach: Option<RemoteReach>,
    /// How long the kernel tries to deliver a request.
    transit: OnceLock<Duration>,
}

/// The connections.
pub struct ApiTransport {
    way: Way,
    lease: Pool,
    requests: Pool,
    watches: Pool,
    /// Whether the last request got no answer.
    away: AtomicBool,
    back: Notify,
}

/// Connections, as many as needed.
#[derive(Default)]
struct Pool(Mutex<Vec<Arc<Connection>>>);

/// A connection. One that does not speak HTTP/2 is a set of them.
struct Connection {
    service: Service,
    streams: Mutex<Streams>,
}

struct Streams {
    open: usize,
    /// The number of those that were answered.
    answered: usize,
    most: usize,
}

/// A place on a connection; given back when dropped.
pub struct Slot {
    connection: Arc<Connection>,
    answered: bool,
}

impl Connection {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    async fn send(&self, request: Request<RequestBody>) -> Result<Response<Incoming>, BoxError> {
        self.connection.service.clone().oneshot(request).await
    }

    fn answered(&mut self) {
        self.answered = true;
        self.connection.streams().answered += 1;
    }

    /// No answer here for long: the next requests use another connection.
    fn is_full(&self) {
        let mut streams = self.connection.streams();
        streams.most = streams.most.min(streams.answered);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut streams = self.connection.streams();
        streams.open -= 1;
        streams.answered -= usize::from(self.answered);
    }
}

impl Pool {
    fn connections(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot on the fullest connection with a free one, so that the others can close.
    fn slot(&self, way: &Way, lane: Lane) -> Result<Slot, ApiError> {
        let mut connections = self.connections();
        let mut fullest: Option<(usize, usize)> = None;
        for (at, connection) in connections.iter().enumerate() {
            let streams = connection.streams();
            if streams.open < streams.most && fullest.is_none_or(|(_, open)| streams.open > open) {
                fullest = Some((at, streams.open));
            }
        }
        let connection = match fullest.and_then(|(at, _)| connections.get(at)) {
            Some(connection) => Arc::clone(connection),
            None => {
                // Unused connections close.
                connections.retain(|connection| connection.streams().open > 0);
                let streams = Mutex::new(Streams { open: 0, answered: 0, most: STREAMS_PER_CONNECTION });
                let connection = Arc::new(Connection { service: service(way, lane)?, streams });
                connections.push(Arc::clone(&connection));
                connection
            }
        };
        connection.streams().open += 1;
        Ok(Slot { connection, answered: false })
    }
}

impl ApiTransport {
    /// Prepares connections; none is made before the first request.
    ///
    /// # Errors
    /// When the configuration's credentials or certificates are invalid.
    pub fn new(config: Config, reach: Option<RemoteReach>) -> Result<Self, ApiError> {
        let (requests, way) = (Pool::default(), Way { config, reach, transit: OnceLock::new() });
        drop(requests.slot(&way, Lane::Request)?);
        let (lease, watches) = (Pool::default(), Pool::default());
        Ok(Self { way, lease, requests, watches, away: AtomicBool::new(false), back: Notify::new() })
    }

    /// From now on a request is delivered within this time or not at all: otherwise the kernel may deliver
    /// what it has tried for long, also when its process is gone.
    pub fn limit_transit(&self, transit: Duration) {
        if self.way.transit.set(transit).is_ok() {
            self.requests.connections().clear();
        }
    }

    /// Connections of their own to the same API server, without any credentials of the process: a certificate
    /// or a token of it would count before the token of a request.
    ///
    /// # Errors
    /// When the configuration's certificates are invalid.
    pub fn without_credentials(&self) -> Result<Self, ApiError> {
        let mut config = self.way.config.clone();
        config.auth_info = AuthInfo::default();
        Self::new(config, self.way.reach)
    }

    /// Sends a request. The slot has to be kept as long as the answer's body is read.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        lane: Lane,
        request: Request<RequestBody>,
    ) -> Result<(Slot, Response<Incoming>), ApiError> {
        let pool = match lane {
            Lane::Lease => &self.lease,
            Lane::Request => &self.requests,
            Lane::Watch => return self.watch(request).await,
        };
        let slot = pool.slot(&self.way, lane)?;
        let response = self.heard(slot.send(request).await)?;
        Ok((slot, response))
    }

    /// Whether the last request got no answer.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Waits until any request is answered after the last one was not. Does not wait if that was so by now.
    pub async fn answers(&self) {
        let mut back = std::pin::pin!(self.back.notified());
        // What comes from here on is noticed.
        back.as_mut().enable();
        if self.is_away() {
            back.await;
        }
    }

    /// Waits until any request is answered again: the lease sends some all the time.
    pub async fn is_back(&self) {
        self.back.notified().await;
    }

    /// Records whether there was an answer, and wakes the waiters.
    fn heard<T>(&self, answer: Result<T, BoxError>) -> Result<T, ApiError> {
        match answer {
            Ok(answer) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    self.back.notify_waiters();
                }
                Ok(answer)
            }
            Err(error) => {
                self.away.store(true, Ordering::Relaxed);
                Err(self.no_answer(error.as_ref()))
            }
        }
    }

    /// Sends the request of a watch, again on another connection when one does not
    /// answer: its streams may be used up below the limit of the API server.
    async fn watch(&self, request: Request<RequestBody>) -> Result<(Slot, Response<Incoming>), ApiError> {
        let mut patience = WATCH_PATIENCE;
        for _ in 1..WATCH_ATTEMPTS {
            let mut slot = self.watches.slot(&self.way, Lane::Watch)?;
            match tokio::time::timeout(patience, slot.send(request.clone())).await {
                Ok(response) => {
                    slot.answered();
                    return Ok((slot, self.heard(response)?));
                }
                Err(_) => slot.is_full(),
            }
            patience *= 2;
        }
        // Then the API server is slow, and not the connection.
        let mut slot = self.watches.slot(&self.way, Lane::Watch)?;
        let response = slot.send(request).await;
        slot.answered();
        Ok((slot, self.heard(response)?))
    }

    /// The address without an answer, and the innermost cause: the outer layers of the
    /// client add nothing useful.
    fn no_answer(&self, error: &(dyn std::error::Error + 'static)) -> ApiError {
        if let Some(why) = plugin::failure(&self.way.config, error) {
            return ApiError::unreachable(why);
        }
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let url = self.way.config.cluster_url.to_string();
        let through = match proxy(&self.way.config) {
            Ok(Some(proxy)) => format!(" through the proxy {proxy}"),
            _ => String::new(),
        };
        ApiError::unreachable(format!("{}{through}: {cause}", url.trim_end_matches('/')))
    }
}

fn service(Way { config, reach, transit }: &Way, lane: Lane) -> Result<Service, ApiError> {
    let mut connector = HttpConnector::new_with_resolver(Resolver { reach: *reach });
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // Without it each small write waits for the acknowledgement of the previous one: 48
    // ms instead of 8 ms for an apply.
    connector.set_nodelay(true);
    if lane == Lane::Request {
        connector.set_tcp_user_timeout(transit.get().copied());
    }
    let Some(proxy) = proxy(config)? else { return over(config, connector) };
    let bad = |e: http::uri::InvalidUri| ApiError::configuration(e);
    let to: http::Uri = proxy.to_string().parse().map_err(bad)?;
    match proxy.scheme {
        Scheme::Http => over(config, tunnel(to, connector, &proxy)?),
        Scheme::Https => {
            let tls = config.rustls_client_config().map_err(ApiError::configuration)?;
            let tls = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
            over(config, tunnel(to, tls.enable_http1().wrap_connector(connector), &proxy)?)
        }
        Scheme::Socks5 => {
            let through = SocksV5::new(to, connector);
            over(
                config,
                match proxy.user {
                    Some((name, password)) => through.with_auth(name, password),
                    None => through,
                },
            )
        }
    }
}

/// The proxy of a configuration.
fn proxy(config: &Config) -> Result<Option<ProxyUrl>, ApiError> {
    let parsed = config.proxy_url.as_ref().map(|url| ProxyUrl::parse(&url.to_string())).transpose();
    parsed.map_err(|why| ApiError::configuration(format!("the proxy of the API server {why}")))
}

/// A tunnel by CONNECT, with the credentials that the proxy's URL holds.
fn tunnel<C>(to: http::Uri, connector: C, proxy: &ProxyUrl) -> Result<Tunnel<C>, ApiError> {
    let tunnel = Tunnel::new(to, connector);
    let Some((name, password)) = &proxy.user else { return Ok(tunnel) };
    let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    Ok(tunnel.with_auth(HeaderValue::try_from(value).map_err(ApiError::configuration)?))
}

fn over<C>(config: &Config, connector: C) -> Result<Service, ApiError>
where
    C: tower::Service<http::Uri> + Clone + Send + Sync + 'static,
    C::Response: hyper_util::client::legacy::connect::Connection
        + hyper::rt::Read
        + hyper::rt::Write
        + Send
        + Unpin
        + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let tls = config.rustls_client_config().map_err(ApiError::configuration)?;
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match &config.tls_server_name {
        Some(name) => {
            let name =
                rustls_pki_types::ServerName::try_from(name.clone()).map_err(ApiError::configuration)?;
            builder.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    let connector = builder.enable_http1().enable_http2().wrap_connector(connector);
    let client: Client<_, RequestBody> = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    let auth = config.auth_layer().map_err(|error| match plugin::failure(config, &error) {
        Some(why) => ApiError::configuration(why),
        None => ApiError::configuration(error),
    })?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .map_err(BoxError::from)
        .service(client);
    Ok(BoxCloneSyncService::new(service))
}
