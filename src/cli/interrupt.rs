//! Ctrl-C for verbs that only send a request and wait: they can be dropped anywhere.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::CliError;

/// Runs the work until it ends, or until Ctrl-C or SIGTERM; `left` then says what
/// continues in the cluster.
pub(super) async fn or_interrupted(
    work: impl Future<Output = Result<(), CliError>>,
    left: impl FnOnce() -> String,
) -> Result<(), CliError> {
    // Before the work begins: an early signal would otherwise end the process silently.
    let (pressed, terminated) = (signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok());
    tokio::select! {
        result = work => result,
        () = received(pressed) => Err(CliError::Interrupted(left().into())),
        () = received(terminated) => Err(CliError::Interrupted(left().into())),
    }
}

/// Never returns where signals cannot be received.
async fn received(signal: Option<Signal>) {
    let Some(mut signal) = signal else { return std::future::pending().await };
    if signal.recv().await.is_none() {
        std::future::pending().await
    }
}
