//! The wait between two runs: what ends it, and what is reported meanwhile.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::rest::SETTLES_AFTER;
use super::{Actor, STATUS_RETRY, SharedState};
use crate::api::release::DriftMode;
use crate::cluster::State;
use crate::cluster::store::Watched;
use crate::controller::health_watch::Finding;
use crate::controller::report;
use crate::domain::schedule::together;
use crate::reconcile::env::Env;
use crate::reconcile::error::chain;
use crate::reconcile::scope::Trigger;

/// The pause after a run before changed objects are checked, if it is not urgent: to report drift.
const SECOND_LOOK: Duration = Duration::from_secs(2);

impl SharedState {
    /// How long a release waits that is due after this time, together with others. What is due at a known time does not
    /// wait for them.
    pub(super) fn together(&self, delay: Duration) -> Duration {
        let now = self.start.elapsed();
        together(now.saturating_add(delay), delay).saturating_sub(now)
    }
}

impl Actor {
    /// Waits for the next reason to run; `None` when the process ends.
    pub(super) async fn wait(&mut self, due: Option<Instant>) -> Option<Trigger> {
        let earliest = Instant::now() + SECOND_LOOK;
        let mut drifted = false;
        loop {
            if self.signals.is_stopping() {
                return None;
            }
            // The run itself decides whether the registry is due again.
            if std::mem::take(&mut self.caches.registry.resolve_due) | self.signals.take_superseded() {
                return Some(Trigger::Full);
            }
            // Checked before every sleep: a run may have consumed the signal.
            let now = Timestamp::now();
            let touched = self.signals.take_touched();
            if self.caches.rollout.is_released(&self.caches.cluster, &touched) {
                return Some(Trigger::Full);
            }
            // What works here is on the heap and only as long as it works: thousands of releases wait at a time.
            if !touched.is_empty() {
                let asking = Box::pin(self.caches.cluster.ask_touched(&touched));
                tokio::select! {
                    biased;
                    () = asking => {}
                    () = self.signals.superseded() => {}
                }
            }
            if self.caches.cluster.has_ended(&touched) {
                return Some(Trigger::Objects);
            }
            if self.caches.is_drifted(&touched, now) {
                match self.drift {
                    DriftMode::Correct => return Some(Trigger::Objects),
                    // Reports may be a little later than the changes.
                    DriftMode::Report => drifted = true,
                    DriftMode::Off => {}
                }
            }
            // A drift that is corrected leaves the plan as it was.
            if self.caches.rollout.is_outdated(&self.caches.cluster, &touched) {
                return Some(Trigger::Full);
            }
            if Box::pin(self.watch_health()).await {
                return Some(Trigger::Objects);
            }
            let correction = self.caches.drift.next_correction(now).map(|at| {
                let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                Instant::now() + wait + Duration::from_millis(5)
            });
            let wake = [due, correction, drifted.then_some(earliest)].into_iter().flatten().min();
            loop {
                let settles = self.is_unsettled().then(|| Instant::now() + SETTLES_AFTER);
                tokio::select! {
                    () = self.signals.changed() => break,
                    () = self.mailbox.changed() => {
                        Box::pin(self.record_accepted()).await;
                        break;
                    }
                    // It may show changes that were missed.
                    () = any_synced(&self.caches.cluster.blind) => {
                        self.caches.cluster.blind.retain(|watch| watch.state() != State::Synced);
                        return Some(Trigger::Objects);
                    }
                    () = sleep_until(self.health_watch.due()) => break,
                    () = sleep_until(wake.into_iter().chain(settles).min()) => {
                        if wake.is_none_or(|wake| wake > Instant::now()) {
                            self.settle();
                            continue;
                        }
                        let only_correction = due.is_none_or(|due| due > Instant::now());
                        return Some(if only_correction { Trigger::Objects } else { Trigger::Full });
                    }
                }
            }
        }
    }

    /// Reads the changed objects whose health matters, and writes the status. Returns whether a run
    /// is needed.
    async fn watch_health(&mut self) -> bool {
        loop {
            let (signals, last) = (Arc::clone(&self.signals), Arc::clone(self.status.open()));
            let found = tokio::select! {
                biased;
                found = self.health_watch.look(&mut self.caches, &last) => found,
                () = signals.superseded() => Finding::Nothing,
            };
            let status = match found {
                Finding::Nothing => return false,
                Finding::Healed => return true,
                Finding::Status(status) => *status,
            };
            let Some(release) = self.health_watch.release() else { return false };
            let Env { session, metrics, .. } = &self.shared.env;
            match session.write_status(&self.id, &release.uid, &status).await {
                Ok(()) => {
                    metrics.release_reported(&self.id, release.suspend, &status);
                    report::publish_health(session, &release, &last, &status);
                    self.status = Arc::new(status).into();
                    self.tell();
                }
                Err(error) if error.is_not_found() => return false,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cannot write the status");
                    self.health_watch.again(STATUS_RETRY);
                    return false;
                }
            }
        }
    }
}

/// Waits until one of the watches is synced.
async fn any_synced(watches: &[Arc<Watched>]) {
    match watches {
        [] => std::future::pending().await,
        watches => {
            let synced = watches.iter().map(|watch| Box::pin(watch.synced()));
            futures::future::select_all(synced).await;
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
