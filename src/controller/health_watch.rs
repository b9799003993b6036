//! The health of what is applied, between two runs: an object that its watch shows
//! changed is read once, and the status says what that has shown. Nothing is asked
//! while nothing changes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::api::status::{ReleaseStatus, condition};
use crate::domain::release::Release;
use crate::domain::schedule::Damper;
use crate::domain::status;
use crate::reconcile::cache::Caches;
use crate::reconcile::env::Env;

/// The time between two looks: what changes all the time is read once in it.
const PACE: Duration = Duration::from_secs(1);
/// How often a message may change whose verdict stays: it may hold how many replicas
/// are there by now.
const RETELL: SignedDuration = SignedDuration::from_secs(30);

/// What one release watches over.
#[derive(Default)]
pub(super) struct HealthWatch {
    /// As its last run saw it.
    release: Option<Arc<Release>>,
    last_look: Option<Instant>,
    /// When something has to be done without being woken.
    due: Option<Instant>,
    damper: Damper,
    /// When only a message was told anew.
    retold: Option<Timestamp>,
}

/// What came of a look.
pub(super) enum Finding {
    /// Nothing that is to be told now.
    Nothing,
    /// What the status should say.
    Status(Box<ReleaseStatus>),
    /// What a failed rollout has waited for is healthy: a run brings it to its end.
    Healed,
}

impl HealthWatch {
    /// A run is over; from now on this is the release.
    pub(super) fn resume(&mut self, release: Arc<Release>) {
        self.release = Some(release);
    }

    /// The release goes away: how its objects are does not matter any more.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    pub(super) fn release(&self) -> Option<&Release> {
        self.release.as_deref()
    }

    /// What was found could not be written; it is tried again then.
    pub(super) fn again(&mut self, after: Duration) {
        self.due = Some(Instant::now() + after);
    }

    /// When to look again without being woken.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Looks at the objects that have changed, if any has. May be dropped at any time.
    pub(super) async fn look(&mut self, env: &Env, caches: &mut Caches, told: &ReleaseStatus) -> Finding {
        self.due = None;
        let Some(release) = self.release.as_deref().filter(|release| !release.suspend) else {
            return Finding::Nothing;
        };
        let Caches { rollout, cluster, .. } = caches;
        let (Some(mut checkup), Some(identity)) = (rollout.checkup.take(), cluster.identity.clone()) else {
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
            let Ok(session) = env.session.impersonate(identity) else { return Finding::Nothing };
            checkup.look(&session, outdated).await;
            self.last_look = Some(Instant::now());
        }
        let now = Timestamp::now();
        let clock = checkup.board.changes_at().filter(|at| *at > now);
        let found = match is_failed(told) {
            true if checkup.board.is_healthy() => Finding::Healed,
            true => Finding::Nothing,
            false if !release.wait || told.condition(condition::HEALTHY).is_none() => Finding::Nothing,
            false => {
                let health = checkup.board.assessment();
                let unhealthy = checkup.board.unhealthy();
                let status = status::observe(told, release, &health, &unhealthy, &checkup.ready, now);
                if status == *told { Finding::Nothing } else { Finding::Status(Box::new(status)) }
            }
        };
        let wait = match &found {
            Finding::Nothing => None,
            Finding::Status(status) if states(status) == states(told) => {
                since(told).max(self.retold).and_then(|last| last.checked_add(RETELL).ok())
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
            Finding::Status(status) if states(status) == states(told) => self.retold = Some(now),
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
    let told = status.conditions.iter();
    told.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

/// Since when the health is as it is told.
fn since(status: &ReleaseStatus) -> Option<Timestamp> {
    status.condition(condition::HEALTHY).map(|c| c.last_transition_time.0)
}

/// The same time on the clock that sleeps, and a little later.
fn instant_of(time: Timestamp) -> Instant {
    let wait = Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + wait + Duration::from_millis(5)
}
