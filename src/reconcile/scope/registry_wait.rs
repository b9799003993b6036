//! How long a run waits for a registry, and what ends the wait.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Scope;
use crate::api::release::DriftMode;
use crate::domain::identity::ObjectId;
use crate::oci::Queue;
use crate::reconcile::cache::drift::Sightings;

/// How long the registry may take before the status reports the wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same of the memory. Most waits for it are short, also while many releases start.
const MEMORY_PATIENCE: Duration = Duration::from_secs(10);
const MEMORY: &str =
    "Waiting for memory: other artifacts of this namespace, or of all, have what they may take";

/// The result of a wait.
pub enum RegistryWait<T> {
    /// The result of the registry.
    Done(T),
    /// `spec.timeout` is over.
    TimedOut,
    /// Something more urgent came up: a newer spec, the end of the process, or
    /// drift.
    Preempted,
}

/// Waits for the registry, and reports that in the status if it takes long. If the run can do
/// without the registry, drift is more urgent: then `seen` is given.
pub async fn registry_wait<T>(
    scope: &Scope<'_>,
    seen: Option<Sightings<'_>>,
    work: impl Future<Output = T>,
) -> RegistryWait<T> {
    // On the heap: each function here would have a copy of the whole work on the stack.
    registry_wait_beside(scope, seen, &Queue::default(), Box::pin(work)).await
}

/// The same, for work that may also wait in a queue, which is reported as another wait.
pub async fn registry_wait_beside<T>(
    scope: &Scope<'_>,
    seen: Option<Sightings<'_>>,
    queue: &Queue,
    work: impl Future<Output = T>,
) -> RegistryWait<T> {
    let message = format!("Waiting for {}", scope.release.url);
    wait_beside(scope, seen, queue, &message, Box::pin(work)).await
}

/// The same for other work, with what the status says about it.
pub async fn wait_beside<T>(
    scope: &Scope<'_>,
    seen: Option<Sightings<'_>>,
    queue: &Queue,
    message: &str,
    work: impl Future<Output = T>,
) -> RegistryWait<T> {
    let release = scope.release;
    let mut work = std::pin::pin!(tokio::time::timeout(release.timeout, work));
    let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
    let silent = scope.status().observed_generation == Some(release.generation);
    let (mut is_long, mut is_queued) = (false, false);
    let seen = seen.filter(|_| release.drift == DriftMode::Correct);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done.map_or(RegistryWait::TimedOut, RegistryWait::Done),
            () = scope.signals.changed() => {}
            () = &mut patience, if !is_long || !is_queued => {
                let now = Instant::now();
                if !is_queued && queue.waits().is_some_and(|since| since + MEMORY_PATIENCE <= now) {
                    is_queued = true;
                    // Others of the namespace may need no memory: drift, a deletion.
                    scope.slot.step_aside();
                    if !silent {
                        scope.write_progress(None, MEMORY).await;
                    }
                }
                let over = queue.left().unwrap_or(now) + PATIENCE;
                if over > now {
                    patience.as_mut().reset(over);
                    continue;
                }
                // What is left to report is a wait in the queue.
                patience.as_mut().reset(now + PATIENCE);
                if !is_long {
                    is_long = true;
                    // A registry that hangs must not keep other runs from beginning.
                    scope.slot.step_aside();
                    if !silent {
                        scope.write_progress(None, message).await;
                    }
                }
            }
        }
        let now = Timestamp::now();
        let urgent = |id: &ObjectId| seen.is_some_and(|seen| seen.is_urgent(id, now));
        if scope.signals.is_superseded() || (seen.is_some() && scope.signals.is_touched(urgent)) {
            return RegistryWait::Preempted;
        }
    }
}
