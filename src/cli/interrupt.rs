//! Ctrl-C for verbs that only ask and wait: they may be dropped anywhere.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::CliError;

/// Does the work until it is over, or until Ctrl-C or SIGTERM; `left` says what
/// goes on without us then.
pub(super) async fn or_interrupted(
    work: impl Future<Output = Result<(), CliError>>,
    left: impl FnOnce() -> String,
) -> Result<(), CliError> {
    // Listened for before the work begins: later, some of it would go unsaid.
    let (pressed, told) = (signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok());
    tokio::select! {
        result = work => result,
        () = heard(pressed) => Err(CliError::Interrupted(left().into())),
        () = heard(told) => Err(CliError::Interrupted(left().into())),
    }
}

/// Never, where signals cannot be heard.
async fn heard(signal: Option<Signal>) {
    let Some(mut signal) = signal else { return std::future::pending().await };
    if signal.recv().await.is_none() {
        std::future::pending().await
    }
}
