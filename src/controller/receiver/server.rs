//! The port of webhooks: HTTP/1.1 without TLS, within limits. Unlike the endpoints for probes, this
//! one is open to unknown senders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hooks::Hooks;
use crate::controller::error::ControllerError;
use crate::observe::listener::{BoundedListener, MAX_AGE, MAX_CONNECTIONS, bind, converse};

/// How long new requests are taken after the shutdown began: a Service sends to
/// this pod until all nodes have heard that it ends.
const LINGER: Duration = Duration::from_secs(5);
/// How long current requests may take after that.
const DRAIN: Duration = Duration::from_secs(5);

/// A bound address that is not served yet.
pub struct HookListener {
    limited: BoundedListener,
    address: SocketAddr,
}

impl HookListener {
    /// Binds an address such as `:9292`.
    ///
    /// # Errors
    /// When the address is invalid or in use.
    pub async fn bind(address: &str) -> Result<Self, ControllerError> {
        let wrong = |source| ControllerError::Webhooks { address: address.to_owned(), source };
        let listener = bind(address).await.map_err(wrong)?;
        let bound = listener.local_addr().map_err(wrong)?;
        Ok(Self { limited: BoundedListener::new(listener, MAX_CONNECTIONS, MAX_AGE), address: bound })
    }

    /// The address, with the port chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` ends, and for five seconds more unless `hurry` ends; then waits for
    /// current requests, and sends the pending triggers.
    pub async fn serve(
        mut self,
        hooks: Arc<Hooks>,
        shutdown: impl Future<Output = ()>,
        hurry: CancellationToken,
    ) {
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let mut over = std::pin::pin!(async {
            shutdown.await;
            let _ = tokio::time::timeout(LINGER, hurry.cancelled()).await;
        });
        loop {
            tokio::select! {
                () = &mut over => break,
                (stream, _) = self.limited.next() => {
                    let hooks = Arc::clone(&hooks);
                    connections.spawn(converse(stream, stop.clone(), move |request| {
                        let hooks = Arc::clone(&hooks);
                        async move { hooks.answer(request).await.response() }
                    }));
                }
            }
        }
        // No new connections are accepted.
        drop(self);
        stop.cancel();
        connections.close();
        // The remaining ones end at `MAX_AGE`.
        let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
        hooks.finish().await;
    }
}
