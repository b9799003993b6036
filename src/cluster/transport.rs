//! Connections to the API server: HTTP/2 where TLS negotiates it, requests and
//! watches apart, so that no number of watches holds up a request.
//!
//! kube's own client speaks HTTP/1.1, one connection a watch
//! (kube-rs/kube#1923); its configuration and authentication are used here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::ConfigExt;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::error::ApiError;

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

/// A request that got no answer, with whom it was sent to.
#[derive(Debug)]
struct Unanswered {
    server: String,
    source: BoxError,
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.server.trim_end_matches('/'))
    }
}

impl std::error::Error for Unanswered {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // "client error (Connect)" says nothing that its own cause does not.
        let source: &(dyn std::error::Error + 'static) = self.source.as_ref();
        match source.downcast_ref::<hyper_util::client::legacy::Error>() {
            Some(error) if error.is_connect() => std::error::Error::source(error),
            _ => Some(source),
        }
    }
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
        self.requests.clone().oneshot(request).await.map_err(|e| self.unanswered(e))
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
        Ok((slot, response.map_err(|e| self.unanswered(e))?))
    }

    fn unanswered(&self, error: BoxError) -> ApiError {
        ApiError::unreachable(Unanswered { server: self.config.cluster_url.to_string(), source: error })
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
    match &config.proxy_url {
        Some(proxy) => over(config, Tunnel::new(proxy.clone(), connector)),
        None => over(config, connector),
    }
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
    let auth = config.auth_layer().map_err(ApiError::configuration)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .map_err(BoxError::from)
        .service(client);
    Ok(BoxCloneSyncService::new(service))
}
