//! Connections within limits. The endpoints are open to the cluster's network, and
//! nobody there may keep others from being answered: who comes is always let in, and
//! when there are too many, those that use most of them give one up.

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
/// How long a connection may live. A scrape or a probe takes milliseconds, and
/// who keeps its connection for the next one makes a new one instead.
pub const MAX_AGE: Duration = Duration::from_secs(60);
/// How long the line and the headers of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How large they may be, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// How many headers there may be.
const MAX_HEADERS: usize = 64;
/// When a connection is asked to end, before it is ended.
const OLD: Duration = MAX_AGE.saturating_sub(Duration::from_secs(20));
/// How long to wait before the next connection is accepted when none can be: the
/// process may have no file descriptor left.
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
    /// When something was read from it last.
    heard: Instant,
    end: CancellationToken,
}

/// A connection that holds its place until it is dropped.
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
/// When the address is none, or is taken.
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
    /// So many connections at a time, each for at most so long.
    pub fn new(listener: TcpListener, connections: usize, max_age: Duration) -> Self {
        let open = Arc::new(Open { most: connections.max(1), connections: Mutex::default() });
        Self { listener, open, max_age }
    }

    /// The next connection. Another one ends for it when there are too many.
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
                // A peer that went away before it was accepted is no reason to wait.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
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
    /// Of the peer with the most connections, the one that was silent for longest.
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

/// Answers what a peer asks on a connection, within limits, until the peer ends it, it
/// is old, or `stop` is cancelled.
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
        // However a stranger's connection ends is of no interest.
        _ = &mut connection => return,
        () = stop.cancelled() => {}
        // The peer hears of it by the next answer, and loses no request.
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
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        // However many come from there, it is their own that end.
        for _ in 0..100 {
            open.enter(address(2));
            assert_eq!(open.connections().all.len(), 4);
        }
        assert!(!prober.is_cancelled() && !late.is_cancelled());
    }
}
