//! The health of the applied objects between two runs: an object that has changed by its watch is
//! read once, and the status is updated. There are no requests while nothing changes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::api::status::{ReleaseStatus, condition};
use crate::domain::kept::KeptRelease;
use crate::domain::patch::allowance::Allowance;
use crate::domain::release::Release;
use crate::domain::schedule::Damper;
use crate::domain::status;
use crate::reconcile::cache::Caches;

/// The minimum time between two checks: an object that changes all the time is read once in it.
const PACE: Duration = Duration::from_secs(1);
/// The minimum time between two updates of the message alone: it may have the number of ready
/// replicas.
const REPORT_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// The health watch of one release.
#[derive(Default)]
pub(super) struct HealthWatch {
    /// The release of its last run.
    release: Option<RestingRelease>,
    last_look: Option<Instant>,
    /// The time of the next check without a signal.
    due: Option<Instant>,
    damper: Damper,
    /// When only the message was updated.
    last_report: Option<Timestamp>,
}

/// A release between its runs.
#[derive(Clone)]
pub(super) enum RestingRelease {
    /// Its run has completed it.
    Completed(Arc<Release>),
    /// It is what its spec says: read again when an object has changed.
    AsSpec(Arc<KeptRelease>),
}

impl RestingRelease {
    fn open(&self) -> Option<Arc<Release>> {
        match self {
            Self::Completed(release) => Some(Arc::clone(release)),
            Self::AsSpec(kept) => kept.open().ok()?.parse_within(&mut Allowance::small()).ok().map(Arc::new),
        }
    }
}

/// The result of a check.
pub(super) enum Finding {
    /// Nothing to report now.
    Nothing,
    /// The new status.
    Status(Box<ReleaseStatus>),
    /// The objects of a failed rollout are healthy: a run completes it.
    Healed,
}

impl HealthWatch {
    /// A run has ended; this is the release now.
    pub(super) fn resume(&mut self, release: RestingRelease) {
        self.release = Some(release);
    }

    /// The release is being deleted: the health of its objects does not matter any more.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    pub(super) fn release(&self) -> Option<Arc<Release>> {
        self.release.as_ref()?.open()
    }

    /// The status could not be written; it is tried again at that time.
    pub(super) fn again(&mut self, after: Duration) {
        self.due = Some(Instant::now() + after);
    }

    /// When to check again without a signal.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Checks the changed objects, if there are any. May be dropped at any time.
    pub(super) async fn look(&mut self, caches: &mut Caches, reported: &ReleaseStatus) -> Finding {
        self.due = None;
        let Caches { rollout, cluster, .. } = caches;
        if rollout.checkup.is_none() {
            return Finding::Nothing;
        }
        let Some(release) = self.release().filter(|release| !release.suspend) else {
            return Finding::Nothing;
        };
        let (Some(mut checkup), Some(session)) = (rollout.checkup.take(), cluster.session.clone()) else {
            return Finding::Nothing;
        };
        checkup.retain(|id| !cluster.has_run_to_its_end(id));
        let checkup = rollout.checkup.insert(checkup);
        let outdated = checkup.changed(&cluster.watches);
        if !outdated.is_empty() {
            let next = self.last_look.map(|last| last + PACE).filter(|next| *next > Instant::now());
            if let Some(next) = next {
                self.due = Some(next);
                return Finding::Nothing;
            }
            checkup.look(&session, outdated).await;
            self.last_look = Some(Instant::now());
        }
        let now = Timestamp::now();
        let clock = checkup.board.changes_at().filter(|at| *at > now);
        let found = match is_failed(reported) {
            true if checkup.board.is_healthy() => Finding::Healed,
            true => Finding::Nothing,
            false if !release.awaits_health() || reported.condition(condition::HEALTHY).is_none() => {
                Finding::Nothing
            }
            false => {
                let mut health = checkup.board.assessment();
                release.redaction.redact(&mut health.message);
                let mut unhealthy = checkup.board.unhealthy();
                unhealthy.iter_mut().for_each(|object| release.redaction.redact(&mut object.message));
                let status = status::observe(reported, &release, &health, &unhealthy, &checkup.ready, now);
                if status == *reported { Finding::Nothing } else { Finding::Status(Box::new(status)) }
            }
        };
        let wait = match &found {
            Finding::Nothing => None,
            Finding::Status(status) if states(status) == states(reported) => {
                since(reported).max(self.last_report).and_then(|last| last.checked_add(REPORT_INTERVAL).ok())
            }
            Finding::Healed | Finding::Status(_) => self.damper.next(),
        };
        let wait = wait.filter(|at| *at > now);
        self.due = clock.into_iter().chain(wait).min().map(instant_of);
        if wait.is_some() {
            return Finding::Nothing;
        }
        match &found {
            Finding::Nothing => {}
            Finding::Status(status) if states(status) == states(reported) => self.last_report = Some(now),
            Finding::Healed | Finding::Status(_) => self.damper.reported(now),
        }
        found
    }
}

/// Whether the status says that the wait for health has failed.
fn is_failed(status: &ReleaseStatus) -> bool {
    status
        .condition(condition::READY)
        .and_then(|c| Reason::named(&c.reason))
        .is_some_and(Reason::is_of_health_wait)
}

fn states(status: &ReleaseStatus) -> Vec<(&str, &str, &str)> {
    let reported = status.conditions.iter();
    reported.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

/// Since when the reported health is unchanged.
fn since(status: &ReleaseStatus) -> Option<Timestamp> {
    status.condition(condition::HEALTHY).map(|c| c.last_transition_time.0)
}

/// The same time on tokio's clock, and a little later.
fn instant_of(time: Timestamp) -> Instant {
    let wait = Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + wait + Duration::from_millis(5)
}
