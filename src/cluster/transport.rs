//! Connections to the API server: HTTP/2 where TLS negotiates it, requests and
//! watches apart, so that no number of watches holds up a request.
//!
//! kube's own client speaks HTTP/1.1, one connection a watch
//! (kube-rs/kube#1923); its configuration and authentication are used here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::ConfigExt;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::error::ApiError;
use super::plugin;
use crate::domain::proxy::{ProxyUrl, Scheme};

/// Streams on one connection: the API server allows 250, and with more than
/// that every further request on it would wait for ever.
const WATCHES_PER_CONNECTION: usize = 180;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection is asked whether it lives, and how long the answer may
/// take: together less than the leader's deadline, so that a connection that died
/// in silence is replaced before the lease is lost.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(60);

type Service = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, BoxError>;

/// The connections.
pub struct Transport {
    config: Config,
    requests: Service,
    watches: Mutex<Vec<Arc<WatchConnection>>>,
}

/// A connection for watches.
struct WatchConnection {
    service: Service,
    streams: Mutex<usize>,
}

/// A place on a connection for watches; given back when dropped.
pub struct WatchSlot {
    connection: Arc<WatchConnection>,
}

impl Drop for WatchSlot {
    fn drop(&mut self) {
        *self.connection.streams.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

impl Transport {
    /// Prepares connections; none is made before the first request.
    ///
    /// # Errors
    /// When the configuration's credentials or certificates cannot be used.
    pub fn new(config: Config) -> Result<Self, ApiError> {
        let requests = service(&config)?;
        Ok(Self { config, requests, watches: Mutex::new(Vec::new()) })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ApiError> {
        self.requests.clone().oneshot(request).await.map_err(|error| self.no_answer(error.as_ref()))
    }

    /// Sends the request of a watch, on a connection with room. The slot has to
    /// be kept as long as the answer's body is read.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn watch(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(WatchSlot, Response<Incoming>), ApiError> {
        let slot = self.slot()?;
        let response = slot.connection.service.clone().oneshot(request).await;
        Ok((slot, response.map_err(|error| self.no_answer(error.as_ref()))?))
    }

    /// Where nobody answers, and the innermost cause: the layers of the client
    /// around it say nothing to a person.
    fn no_answer(&self, error: &(dyn std::error::Error + 'static)) -> ApiError {
        if let Some(why) = plugin::failure(&self.config, error) {
            return ApiError::unreachable(why);
        }
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let url = self.config.cluster_url.to_string();
        let through = match proxy(&self.config) {
            Ok(Some(proxy)) => format!(" through the proxy {proxy}"),
            _ => String::new(),
        };
        ApiError::unreachable(format!("{}{through}: {cause}", url.trim_end_matches('/')))
    }

    fn slot(&self) -> Result<WatchSlot, ApiError> {
        let mut connections = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections.iter() {
            let mut streams = connection.streams.lock().unwrap_or_else(PoisonError::into_inner);
            if *streams < WATCHES_PER_CONNECTION {
                *streams += 1;
                return Ok(WatchSlot { connection: Arc::clone(connection) });
            }
        }
        let service = service(&self.config)?;
        let connection = Arc::new(WatchConnection { service, streams: Mutex::new(1) });
        connections.push(Arc::clone(&connection));
        Ok(WatchSlot { connection })
    }
}

fn service(config: &Config) -> Result<Service, ApiError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // Without it each small write waits for the acknowledgement of the last:
    // 48 ms instead of 8 ms for an apply.
    connector.set_nodelay(true);
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
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
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
