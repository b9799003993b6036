//! Ctrl-C and SIGTERM, as a command line sees them.

use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::CliError;

/// Ctrl-C and SIGTERM from the moment it is made. Before that moment a signal ends the process at
/// once and says nothing, so it is made before the work begins and not by a task that starts later.
pub(super) struct Interrupts {
    pressed: Option<Signal>,
    terminated: Option<Signal>,
}

impl Interrupts {
    /// Begins to receive them.
    pub(super) fn receive() -> Interrupts {
        Interrupts {
            pressed: signal(SignalKind::interrupt()).ok(),
            terminated: signal(SignalKind::terminate()).ok(),
        }
    }

    /// Waits for the next one; several that came together are one, also of both kinds.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            () = received(self.pressed.as_mut()) => {}
            () = received(self.terminated.as_mut()) => {}
        }
        let _ = received(self.pressed.as_mut()).now_or_never();
        let _ = received(self.terminated.as_mut()).now_or_never();
    }
}

/// Never returns where signals cannot be received.
async fn received(signal: Option<&mut Signal>) {
    let Some(signal) = signal else { return std::future::pending().await };
    if signal.recv().await.is_none() {
        std::future::pending().await
    }
}

/// Runs the work of a verb that only sends a request and waits, which can be dropped anywhere,
/// until it ends, or until Ctrl-C or SIGTERM; `left` then says what continues in the cluster.
pub(super) async fn or_interrupted(
    work: impl Future<Output = Result<(), CliError>>,
    left: impl FnOnce() -> String,
) -> Result<(), CliError> {
    let mut interrupts = Interrupts::receive();
    tokio::select! {
        result = work => result,
        () = interrupts.next() => Err(CliError::Interrupted(left().into())),
    }
}
