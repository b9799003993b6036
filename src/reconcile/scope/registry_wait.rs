//! How long a run waits for a registry, and for what it stops waiting.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::release::DriftMode;
use crate::domain::identity::ObjectId;
use crate::oci::Queue;
use crate::reconcile::driver::Run;

/// How long the registry may take before the status says that it is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a wait came to.
pub enum Waited<T> {
    /// What was waited for.
    Done(T),
    /// `spec.timeout` is over.
    Late,
    /// Something more urgent came up: a newer spec, the end of the process, or
    /// drift.
    Urgent,
}

impl Run<'_> {
    /// Waits for the registry, and says so in the status where that takes long.
    /// Drift is more urgent where the run could do without, it `can_wait`.
    pub async fn wait_for<T>(&mut self, work: impl Future<Output = T>, can_wait: bool) -> Waited<T> {
        self.wait_beside(work, can_wait, &Queue::default()).await
    }

    /// The same, for work that may also wait in a queue: a status for each release that
    /// does would be of no use to anybody.
    pub async fn wait_beside<T>(
        &mut self,
        work: impl Future<Output = T>,
        can_wait: bool,
        queue: &Queue,
    ) -> Waited<T> {
        let mut work = std::pin::pin!(tokio::time::timeout(self.release.timeout, work));
        let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
        let mut silent = self.status.observed_generation == Some(self.release.generation);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done.map_or(Waited::Late, Waited::Done),
                () = self.signals.changed() => {}
                () = &mut patience, if !silent => {
                    let now = Instant::now();
                    let over = queue.left().unwrap_or(now) + PATIENCE;
                    if over > now {
                        patience.as_mut().reset(over);
                        continue;
                    }
                    silent = true;
                    self.accept(None, &format!("waiting for {}", self.release.url)).await;
                }
            }
            let now = Timestamp::now();
            let disturbed = |id: &ObjectId| self.memory.is_urgent(id, now);
            let hurry = can_wait && self.release.drift == DriftMode::Correct;
            if self.signals.is_superseded() || (hurry && self.signals.is_touched(disturbed)) {
                return Waited::Urgent;
            }
        }
    }
}
