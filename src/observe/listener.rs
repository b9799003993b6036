//! Connections within limits. The endpoints are open to the cluster's network,
//! and nobody there may hold the process's file descriptors for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Connections at a time; the next one waits to be accepted.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a connection may live. A scrape or a probe takes milliseconds, and
/// who keeps its connection for the next one makes a new one instead.
pub const MAX_AGE: Duration = Duration::from_secs(60);

/// Accepts up to a number of connections, each for a time.
pub struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
    max_age: Duration,
}

/// A connection that holds its place until it is dropped.
pub struct Guarded {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
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

impl Limited {
    /// So many connections at a time, each for at most so long.
    pub fn new(listener: TcpListener, connections: usize, max_age: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)), max_age }
    }

    /// The next connection, when there is a place for it.
    pub async fn next(&mut self) -> (Guarded, SocketAddr) {
        // The semaphore is never closed, so there always is a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        // axum's own `accept` retries what can be retried, such as a lack of
        // file descriptors.
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        (Guarded { stream, end: Box::pin(sleep(self.max_age)), _place: place }, peer)
    }
}

impl axum::serve::Listener for Limited {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
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
