//! Ctrl-C: the first lets what is under way come to an end, the second does not.

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

/// Stops the run at the first Ctrl-C, and the process at the second: what was
/// written is in the inventory before it is written.
pub(super) fn listen(signals: Arc<Signals>) -> Interrupt {
    Interrupt(tokio::spawn(async move {
        if asked_to_end().await {
            signals.stop();
            if asked_to_end().await {
                std::process::exit(exit::INTERRUPTED.into());
            }
        }
    }))
}

/// Waits for Ctrl-C or SIGTERM; `false` when neither can be heard.
async fn asked_to_end() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return false };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.is_ok(),
        told = terminate.recv() => told.is_some(),
    }
}
