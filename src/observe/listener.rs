//! Connections within limits. The endpoints are open to the cluster's network, and no client must
//! block the others: a new connection is always accepted, and when there are too many, the client
//! with the most connections loses one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Connections at a time.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a connection may live. A scrape or a probe takes milliseconds, and a client that keeps
/// its connection opens a new one.
pub const MAX_AGE: Duration = Duration::from_secs(60);
/// How long the line and the headers of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of them, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// The maximum number of headers.
const MAX_HEADERS: usize = 64;
/// The grace period before a connection is closed.
const OLD: Duration = MAX_AGE.saturating_sub(Duration::from_secs(20));
/// The pause after a failed accept: the process may have no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts up to a number of connections, each for a time.
pub struct BoundedListener {
    listener: TcpListener,
    open: Arc<Open>,
    max_age: Duration,
}

/// The connections that are open.
struct Open {
    most: usize,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    /// The number of the next.
    next: u64,
    all: HashMap<u64, Connection>,
}

struct Connection {
    peer: IpAddr,
    /// The time of its last read or write.
    heard: Instant,
    end: CancellationToken,
}

/// A connection that counts until it is dropped.
pub struct Guarded {
    stream: TcpStream,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    open: Arc<Open>,
    number: u64,
}

/// Binds an address such as `:8080`, `0.0.0.0:8080` or `127.0.0.1:0`. One without
/// a host listens on every interface, as Go's does.
///
/// # Errors
/// When the address is invalid or in use.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    match address.strip_prefix(':') {
        // Both families where the host has both.
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
        },
        None => TcpListener::bind(address).await,
    }
}

impl BoundedListener {
    /// Limits the number of connections and their lifetime.
    pub fn new(listener: TcpListener, connections: usize, max_age: Duration) -> Self {
        let open = Arc::new(Open { most: connections.max(1), connections: Mutex::default() });
        Self { listener, open, max_age }
    }

    /// The next connection. When there are too many, another one is closed for it.
    pub async fn next(&mut self) -> (Guarded, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let (number, ended) = self.open.enter(peer.ip());
                    let age = sleep(self.max_age);
                    let end = Box::pin(async move {
                        tokio::select! {
                            () = age => {}
                            () = ended.cancelled() => {}
                        }
                    });
                    return (Guarded { stream, end, open: Arc::clone(&self.open), number }, peer);
                }
                // There is no pause for a peer that closed before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Open {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, peer: IpAddr) -> (u64, CancellationToken) {
        let mut connections = self.connections();
        if connections.all.len() >= self.most {
            connections.give_one_up();
        }
        let number = connections.next;
        connections.next += 1;
        let end = CancellationToken::new();
        connections.all.insert(number, Connection { peer, heard: Instant::now(), end: end.clone() });
        (number, end)
    }

    fn heard(&self, number: u64) {
        if let Some(connection) = self.connections().all.get_mut(&number) {
            connection.heard = Instant::now();
        }
    }
}

impl Connections {
    /// The connection that was idle for longest, of the peer with the most connections.
    fn give_one_up(&mut self) {
        let mut peers: HashMap<IpAddr, usize> = HashMap::new();
        for connection in self.all.values() {
            *peers.entry(connection.peer).or_default() += 1;
        }
        let of_peer = |connection: &Connection| peers.get(&connection.peer).copied().unwrap_or_default();
        let given_up =
            self.all.iter().max_by_key(|(_, c)| (of_peer(c), std::cmp::Reverse(c.heard))).map(|(n, _)| *n);
        if let Some(connection) = given_up.and_then(|number| self.all.remove(&number)) {
            connection.end.cancel();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.open.connections().all.remove(&self.number);
    }
}

/// Answers the requests on a connection, within limits, until the peer closes it, it is too old, or
/// `stop` is cancelled.
pub async fn converse<A, B>(
    stream: Guarded,
    stop: CancellationToken,
    answer: impl Fn(Request<Incoming>) -> A + Send,
) where
    A: Future<Output = Response<B>> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let service = service_fn(|request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // The result of a connection does not matter.
        _ = &mut connection => return,
        () = stop.cancelled() => {}
        // The next answer announces the close, so that no request is lost.
        () = sleep(OLD) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.open.heard(self.number);
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Also here: a peer that never reads its answer blocks the write.
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        // A client that only listens is not silent: others are given up before it.
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.open.heard(self.number);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_with_the_most_gives_up_what_was_silent_for_longest() {
        let open = Open { most: 4, connections: Mutex::default() };
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let prober = open.enter(address(1)).1;
        let greedy: Vec<CancellationToken> = (0..3).map(|_| open.enter(address(2)).1).collect();
        open.heard(1);
        let late = open.enter(address(3)).1;
        let ended: Vec<bool> = greedy.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(ended, [false, true, false]);
        assert!(!prober.is_cancelled() && !late.is_cancelled());
        // A client with many connections loses only its own.
        for _ in 0..100 {
            open.enter(address(2));
            assert_eq!(open.connections().all.len(), 4);
        }
        assert!(!prober.is_cancelled() && !late.is_cancelled());
    }
}
