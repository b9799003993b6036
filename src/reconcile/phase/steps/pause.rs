//! The wait for objects of steps: it holds no worker, and ends for what is more urgent.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::api::release::DriftMode;
use crate::api::step::StepStatus;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Entry;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::cache::drift::DriftCache;
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::live::watched::is_watched;
use crate::reconcile::scope::Scope;

/// How often running objects are read without an event: with a watch, and without one.
pub const RECHECK: Duration = Duration::from_secs(30);
const BLIND: Duration = Duration::from_secs(2);
/// How often deletion of an object that is in the way is looked at.
pub const GOING: Duration = Duration::from_secs(1);

/// The wait for objects of steps.
pub struct StepPause<'r> {
    /// The run.
    pub scope: &'r Scope<'r>,
    /// The delayed corrections of drift.
    pub drift: &'r DriftCache,
    /// The applied objects, without steps, as their applies left them.
    pub entries: HashMap<ObjectId, Entry>,
}

impl StepPause<'_> {
    /// Waits until one of the objects changes, or the time is over. Returns false when the run has
    /// to end: something newer is wanted, or drift is more urgent.
    pub async fn wait(&self, cluster: &ClusterCache, ids: &BTreeSet<ObjectId>, most: Duration) -> bool {
        let Scope { signals, slot, .. } = *self.scope;
        let wake = Instant::now() + most;
        loop {
            if signals.is_superseded() || self.is_drifted(cluster) {
                return false;
            }
            let touched = signals.take_touched_of(|id| ids.contains(id));
            let left = wake.saturating_duration_since(Instant::now());
            if !touched.is_empty() || left.is_zero() {
                return true;
            }
            let pace = PollPace { first: left, longest: left, timeout: left + GOING };
            if Poll::new(pace, Until::Changed, signals, Some(slot)).pause().await == Tick::Ended {
                return false;
            }
        }
    }

    /// Whether an applied object has drifted. Another run corrects it.
    fn is_drifted(&self, cluster: &ClusterCache) -> bool {
        let Scope { release, signals, .. } = *self.scope;
        let differs = |id: &ObjectId| self.entries.get(id).is_some_and(|entry| cluster.differs(id, entry));
        let now = Timestamp::now();
        let is_due = |id: &ObjectId| self.drift.correctable(std::iter::once(id), now).next().is_some();
        release.drift == DriftMode::Correct && signals.is_touched(|id| is_due(id) && differs(id))
    }
}

/// How long an object is waited for without a look: at most until its run takes too long.
pub fn patience(cluster: &ClusterCache, id: &ObjectId, record: Option<&StepStatus>) -> Duration {
    let recheck = if is_watched(&cluster.watches, id) { RECHECK } else { BLIND };
    let Some(record) = record else { return GOING };
    let since = record.started_at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let over = since.saturating_add(SignedDuration::from_secs(record.timeout_seconds));
    let left = over.map_or(SignedDuration::ZERO, |over| over.duration_since(Timestamp::now()));
    // One that is over is looked at again only because something else is in its way.
    match Duration::try_from(left).unwrap_or_default() {
        Duration::ZERO => GOING,
        left => recheck.min(left),
    }
}
