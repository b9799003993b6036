//! The pace of the waits for health inside a run: when they look again, and what ends them early.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::pods::PodWatches;
use super::urgent::Urgent;
use crate::domain::identity::ObjectId;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::live::checkup::Checkup;
use crate::reconcile::live::watched::is_watched;

/// The first and the longest interval to poll objects without a watch.
const FIRST_POLL: Duration = Duration::from_millis(500);
const LONGEST_POLL: Duration = Duration::from_secs(10);
/// The interval to read all awaited objects again, in case an event was lost or a rule depends on
/// time.
pub const RECHECK: Duration = Duration::from_secs(30);

/// The pace of one wait.
pub struct WaitPace<'w> {
    /// What is more urgent than the wait.
    pub urgent: Urgent<'w>,
    /// The pods of the awaited workloads.
    pub pods: PodWatches<'w>,
    give_up: Instant,
    poll: Duration,
    next_poll: Instant,
    next_recheck: Instant,
    next_resolve: Instant,
}

/// What follows a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitTick {
    /// Objects are looked at.
    Look(LookScope),
    /// The time is over.
    TimedOut,
    /// Something else is more urgent. The next run continues.
    Superseded,
}

/// Which of the awaited objects are looked at, besides those that have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookScope {
    /// All of them.
    pub all: bool,
    /// Those without a watch.
    pub unwatched: bool,
}

impl<'w> WaitPace<'w> {
    /// A wait that begins now.
    pub fn new(urgent: Urgent<'w>, pods: PodWatches<'w>, give_up: Instant) -> Self {
        let now = Instant::now();
        let next_resolve = now + urgent.scope.release.interval;
        let (next_poll, next_recheck) = (now + FIRST_POLL, now + RECHECK);
        Self { urgent, pods, give_up, poll: FIRST_POLL, next_poll, next_recheck, next_resolve }
    }

    /// Sleeps until an object or a pod changes, or it is time to look: at the latest when a
    /// judgement may change only because time passes, or at `most`.
    pub async fn pause(
        &mut self,
        registry: &mut RegistryCache,
        checkup: &Checkup,
        most: Option<Instant>,
    ) -> WaitTick {
        let scope = self.urgent.scope;
        let clock = checkup.board.changes_at().map(instant_of);
        let timers = [self.next_poll, self.next_recheck, self.next_resolve].into_iter();
        let timers = timers.chain(clock).chain(most).chain(self.pods.begins());
        let wake = timers.fold(self.give_up, Instant::min);
        tokio::select! {
            () = scope.signals.changed() => {}
            () = self.pods.changed() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
        if scope.signals.is_superseded() || self.urgent.is_drifted() {
            return WaitTick::Superseded;
        }
        let now = Instant::now();
        if now >= self.give_up {
            return WaitTick::TimedOut;
        }
        if now >= self.next_resolve {
            if Box::pin(self.urgent.is_newer(registry)).await {
                scope.signals.supersede();
                return WaitTick::Superseded;
            }
            self.next_resolve = Instant::now() + scope.release.interval;
        }
        let look = LookScope { all: now >= self.next_recheck, unwatched: now >= self.next_poll };
        if look.all {
            self.next_recheck = now + RECHECK;
        }
        if look.unwatched {
            self.poll = (self.poll * 2).min(LONGEST_POLL);
            self.next_poll = now + self.poll;
        }
        WaitTick::Look(look)
    }

    /// The objects to read: those that have changed, by their watches or by time and not by our own
    /// apply, and those of the awaited ones that are due.
    pub fn due<'i>(
        &self,
        checkup: &Checkup,
        awaited: impl Iterator<Item = &'i ObjectId>,
        look: LookScope,
    ) -> Vec<ObjectId> {
        let watches = &self.urgent.seen.cluster.watches;
        let mut due = checkup.changed(watches);
        let is_due = |id: &&ObjectId| look.all || (look.unwatched && !is_watched(watches, id));
        due.extend(awaited.filter(is_due).cloned());
        due.sort();
        due.dedup();
        due
    }
}

/// The same time on tokio's clock.
fn instant_of(time: Timestamp) -> Instant {
    let wait = Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + wait
}
