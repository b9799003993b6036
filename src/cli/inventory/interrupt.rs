//! Ctrl-C: the first one lets writes in progress finish, the second one does not.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::cli::exit;
use crate::reconcile::scope::signals::Signals;

/// Listens until it is dropped.
pub(super) struct Interrupt(JoinHandle<()>);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Stops the run at the first Ctrl-C, and the process at the second: every object
/// is in the inventory before it is written.
pub(super) fn listen(signals: Arc<Signals>) -> Interrupt {
    Interrupt(tokio::spawn(async move {
        if asked_to_stop().await {
            signals.stop();
            if asked_to_stop().await {
                std::process::exit(exit::INTERRUPTED.into());
            }
        }
    }))
}

/// Waits for Ctrl-C or SIGTERM; `false` when neither can be received.
async fn asked_to_stop() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return false };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.is_ok(),
        terminated = terminate.recv() => terminated.is_some(),
    }
}
