//! Ctrl-C: the first one lets writes in progress finish, the second one does not.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::cli::exit;
use crate::cli::interrupt::Interrupts;
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
    let mut interrupts = Interrupts::receive();
    Interrupt(tokio::spawn(async move {
        interrupts.next().await;
        signals.stop();
        interrupts.next().await;
        std::process::exit(exit::INTERRUPTED.into());
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::listen;
    use crate::reconcile::scope::signals::Signals;

    /// One thread: the task that listens has not run when the signal comes, as on a busy machine.
    #[tokio::test]
    async fn a_signal_that_comes_as_the_work_begins_stops_the_run_and_does_not_kill_the_process() {
        let signals = Arc::new(Signals::default());
        let _interrupt = listen(Arc::clone(&signals));
        let itself = rustix::process::getpid();
        rustix::process::kill_process(itself, rustix::process::Signal::TERM).expect("send a signal");
        signals.stopped().await;
        assert!(signals.is_stopping());
    }
}
