//! The HTTP endpoints for Prometheus and the kubelet: `/metrics`, `/healthz` and `/readyz`. They
//! change nothing and show nothing of a release's content.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::listener::{BoundedListener, MAX_AGE, MAX_CONNECTIONS, bind, converse};
use super::metrics::Metrics;

/// How long current requests may take after the shutdown began.
const DRAIN: Duration = Duration::from_secs(5);
/// What Prometheus expects of its text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The errors of the endpoints. The process must not start without them, a kubelet would restart it
/// anyway.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Cannot listen on the address.
    #[error("cannot listen on {address} for {}: choose another {}", .port.purpose(), .port.flag())]
    Bind {
        /// What it is for.
        port: Port,
        /// The address as configured.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Whether the process is ready; clones share one value. It is false at the start.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Sets the answer of `/readyz`.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// The answer now.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the process is stuck, so that only a restart helps. The check runs in the request; it
/// must be quick and must not wait for anything that may hang.
#[derive(Clone)]
pub struct Liveness(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Liveness {
    /// Uses `check`, whose error says what is stuck.
    pub fn new(check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

/// Always alive.
impl Default for Liveness {
    fn default() -> Self {
        Self::new(|| Ok(()))
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liveness").finish_non_exhaustive()
    }
}

/// The state behind the endpoints.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For `/healthz`.
    pub liveness: Liveness,
}

/// The purpose of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Metrics and probes.
    Metrics,
    /// Probes alone.
    Health,
}

impl Port {
    fn purpose(self) -> &'static str {
        match self {
            Self::Metrics => "metrics and probes",
            Self::Health => "probes",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Metrics => "--metrics-addr",
            Self::Health => "--health-addr",
        }
    }
}

/// A bound address that is not served yet.
#[derive(Debug)]
pub struct Server {
    port: Port,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds an address, see [`bind`].
    ///
    /// # Errors
    /// [`ServerError::Bind`] when the address is none, or is taken.
    pub async fn bind(port: Port, address: &str) -> Result<Self, ServerError> {
        let wrong = |source| ServerError::Bind { port, address: address.to_owned(), source };
        let listener = bind(address).await.map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        Ok(Self { port, listener, address })
    }

    /// The address, with the port chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` ends, then waits at most five seconds for current requests.
    pub async fn serve(self, endpoints: Endpoints, shutdown: impl Future<Output = ()> + Send) {
        let routes = routes(self.port).with_state(endpoints);
        answer(self.listener, MAX_CONNECTIONS, MAX_AGE, routes, shutdown).await;
    }
}

/// Answers on the connections of a listener until `shutdown` ends, then waits at most five seconds for current
/// requests. There are at most so many connections at a time, each for at most `max_age`.
pub async fn answer(
    listener: TcpListener,
    connections: usize,
    max_age: Duration,
    routes: Router,
    shutdown: impl Future<Output = ()>,
) {
    let mut listener = BoundedListener::new(listener, connections, max_age);
    let stop = CancellationToken::new();
    let open = TaskTracker::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, _) = listener.next() => {
                let routes = routes.clone();
                open.spawn(converse(stream, stop.clone(), move |request| {
                    let answered = routes.clone().oneshot(request.map(Body::new));
                    async move { answered.await.unwrap_or_else(|never| match never {}) }
                }));
            }
        }
    }
    // No new connections are accepted.
    drop(listener);
    stop.cancel();
    open.close();
    // The remaining ones end at `MAX_AGE`.
    let _ = tokio::time::timeout(DRAIN, open.wait()).await;
}

fn routes(port: Port) -> Router<Endpoints> {
    let probes = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz));
    match port {
        Port::Metrics => probes.route("/metrics", get(metrics)),
        Port::Health => probes,
    }
}

async fn metrics(State(endpoints): State<Endpoints>) -> Response {
    match endpoints.metrics.expose() {
        Ok(text) => ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthz(State(endpoints): State<Endpoints>) -> Response {
    match (endpoints.liveness.0)() {
        Ok(()) => "ok".into_response(),
        Err(stuck) => (StatusCode::SERVICE_UNAVAILABLE, stuck).into_response(),
    }
}

async fn readyz(State(endpoints): State<Endpoints>) -> Response {
    if endpoints.readiness.get() {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready yet").into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const SOON: Duration = Duration::from_secs(20);

    struct Running {
        address: SocketAddr,
        endpoints: Endpoints,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    async fn start(liveness: Liveness) -> Running {
        let server = Server::bind(Port::Metrics, "127.0.0.1:0").await.unwrap();
        let address = server.address();
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let endpoints = Endpoints { metrics, readiness: Readiness::default(), liveness };
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(endpoints.clone(), stop.clone().cancelled_owned()));
        Running { address, endpoints, stop, task }
    }

    async fn ask(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn the_endpoints_answer() {
        let running = start(Liveness::default()).await;
        let check = async |line: &str, status: &str, body: &str| {
            let answer = ask(running.address, line).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
            assert!(answer.contains(body), "{line}: {answer}");
        };
        check("GET /readyz", "503", "not ready yet").await;
        running.endpoints.readiness.set(true);
        check("GET /readyz", "200", "ok").await;
        running.endpoints.readiness.set(false);
        check("GET /readyz", "503", "not ready yet").await;
        check("GET /healthz", "200", "ok").await;
        check("GET /metrics", "200", EXPOSITION).await;
        check("GET /metrics", "200", "supercargo_build_info{version=\"1.2.3\"} 1").await;
        check("POST /metrics", "405", "").await;
        check("GET /", "404", "").await;
        running.stop.cancel();
        running.task.await.unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    #[tokio::test]
    async fn liveness_says_what_is_stuck() {
        let running = start(Liveness::new(|| Err("the scheduler is stuck".into()))).await;
        let answer = ask(running.address, "GET /healthz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("the scheduler is stuck"), "{answer}");
        running.stop.cancel();
        running.task.await.unwrap();
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let taken = Server::bind(Port::Metrics, "127.0.0.1:0").await.unwrap();
        let address = taken.address().to_string();
        let error = Server::bind(Port::Metrics, &address).await.unwrap_err().to_string();
        let expected =
            format!("cannot listen on {address} for metrics and probes: choose another --metrics-addr");
        assert_eq!(error, expected);
        let error = Server::bind(Port::Health, &address).await.unwrap_err().to_string();
        assert_eq!(error, format!("cannot listen on {address} for probes: choose another --health-addr"));
        assert!(Server::bind(Port::Metrics, "nonsense").await.is_err());
        assert!(Server::bind(Port::Health, ":nonsense").await.is_err());
        assert_ne!(Server::bind(Port::Health, ":0").await.unwrap().address().port(), 0);
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let endpoints = Endpoints { metrics, readiness: Readiness::default(), liveness: Liveness::default() };
        let age = Duration::from_millis(50);
        let routes = routes(Port::Metrics).with_state(endpoints);
        let task = tokio::spawn(answer(listener, 8, age, routes, std::future::pending()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(SOON, silent.read_to_end(&mut rest)).await.unwrap().ok();
        assert!(rest.is_empty());
        task.abort();
    }

    #[tokio::test]
    async fn probes_are_answered_beside_idle_connections_and_half_requests() {
        let running = start(Liveness::default()).await;
        let mut idle = Vec::new();
        // More than the limit.
        for n in 0..MAX_CONNECTIONS + 50 {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            if n % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n").await.unwrap();
            }
            idle.push(stream);
        }
        for _ in 0..20 {
            let answer = ask(running.address, "GET /healthz").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        running.stop.cancel();
        drop(idle);
        running.task.await.unwrap();
    }
}
