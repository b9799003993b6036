//! Which replicas there are: those whose Leases are renewed, by our own clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;

use super::lease::{label_of, name_of, pod_of};
use crate::api::keys;
use crate::cluster::error::ApiError;
use crate::cluster::lease::{Lease, LeaseEvent, LeaseSpec};
use crate::cluster::session::Session;
use crate::domain::replicas::{LeaseTimes, Replica, Replicas};
use crate::reconcile::error::chain;

/// How many durations after its end the Lease of a replica is deleted.
const DELETED_AFTER: u32 = 40;
/// How many holders are remembered as gone.
const MAX_VOID: usize = 4096;
/// How many renewals a replica waits for, after the API server did not answer it, before it ends the Lease of another
/// one: that may have had no answer either.
const RENEWALS: u32 = 3;

/// The replicas, as this one sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Those that releases are spread over.
    pub replicas: Replicas,
    /// The holders whose Leases are valid: also those that end.
    pub alive: BTreeSet<String>,
    /// Whether the replicas have been the same ones for a while.
    pub is_settled: bool,
}

/// A Lease, and since when it is known in this version.
#[derive(Clone, Debug)]
struct SeenLease {
    lease: Lease,
    since: Instant,
}

impl SeenLease {
    fn expires(&self, times: LeaseTimes) -> Instant {
        self.since + times.trusted(self.lease.spec.duration())
    }
}

/// How long the Lease of each holder lasts: the longest that it has said. A person may have shortened or deleted it since,
/// and its holder may not know.
#[derive(Default)]
struct Lasting(BTreeMap<String, Duration>);

impl Lasting {
    fn note(&mut self, spec: &LeaseSpec) {
        if self.0.len() >= MAX_VOID {
            self.0.pop_first();
        }
        if !spec.holder().is_empty() {
            let longest = self.0.entry(spec.holder().to_owned()).or_default();
            *longest = spec.duration().max(*longest);
        }
    }

    fn of(&self, holder: &str, times: LeaseTimes) -> Duration {
        times.trusted(self.0.get(holder).copied().unwrap_or_default())
    }
}

/// What is known of the replicas.
pub struct Members {
    session: Session,
    namespace: String,
    leader: String,
    times: LeaseTimes,
    leases: watch::Sender<BTreeMap<String, SeenLease>>,
    lasting: SyncMutex<Lasting>,
    /// What was read of the Leases of holders, and of those that are gone.
    looked: Mutex<Looked>,
    /// When the API server last did not answer this replica in time.
    unanswered: SyncMutex<Option<Instant>>,
}

#[derive(Default)]
struct Looked {
    void: BTreeSet<String>,
    seen: BTreeMap<String, SeenLease>,
    /// Since when the Lease of a holder is known not to exist.
    absent: BTreeMap<String, (Instant, Instant)>,
    /// Until when the last look at the Lease of a holder is the answer for all that ask.
    again: BTreeMap<String, Instant>,
}

impl Looked {
    /// Whether a holder is gone, if that was found out just now.
    fn known(&self, holder: &str, now: Instant) -> Option<bool> {
        match self.again.get(holder) {
            _ if self.void.contains(holder) => Some(true),
            Some(again) if now < *again => Some(false),
            _ => None,
        }
    }

    /// Notes the answer of a look.
    fn note(&mut self, holder: &str, is_gone: bool, now: Instant, pause: Duration) {
        self.again.retain(|_, again| now < *again);
        if !is_gone {
            self.again.insert(holder.to_owned(), now + pause);
            return;
        }
        self.absent.remove(holder);
        if self.void.len() >= MAX_VOID {
            self.void.pop_first();
        }
        self.void.insert(holder.to_owned());
    }
}

impl Members {
    /// Nothing is known yet. `leader` is the name of the Lease for leader election, in a namespace.
    pub fn new(session: Session, (namespace, leader): (String, String), times: LeaseTimes) -> Self {
        let (leases, looked, lasting) = (watch::Sender::default(), Mutex::default(), SyncMutex::default());
        Self { session, namespace, leader, times, leases, lasting, looked, unanswered: SyncMutex::default() }
    }

    /// The API server has not answered this replica in time.
    pub fn note_unanswered(&self) {
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the API server may not have answered others either, until just now.
    fn may_have_been_away(&self) -> bool {
        let last = *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < self.times.retry * RENEWALS)
    }

    fn lasting(&self) -> MutexGuard<'_, Lasting> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the Leases until the future is dropped. `me` is this replica, as long as it takes
    /// releases.
    ///
    /// # Errors
    /// When Leases cannot be watched.
    pub async fn follow(
        &self,
        me: Replica,
        mut draining: impl FnMut() -> bool,
        reported: &watch::Sender<Option<Arc<Membership>>>,
        elections: &watch::Sender<()>,
    ) -> Result<(), String> {
        let (sender, mut events) = mpsc::unbounded_channel();
        let watching =
            self.session.clone().watch_leases(self.namespace.clone(), label_of(&self.leader), sender);
        let mut watching = std::pin::pin!(watching);
        let mut known: BTreeMap<String, SeenLease> = BTreeMap::new();
        let mut unseen = BTreeSet::new();
        let (mut is_synced, mut changed) = (false, Instant::now());
        let mut cleaned = BTreeSet::new();
        loop {
            if is_synced {
                let mut found = self.membership(&known, &me, draining());
                let before = reported.borrow().clone();
                if before.as_ref().is_none_or(|before| before.replicas != found.replicas) {
                    changed = Instant::now();
                    let names: Vec<&str> =
                        found.replicas.iter().map(|replica| replica.name.as_str()).collect();
                    tracing::info!(replicas = names.join(","), "shares the releases");
                }
                found.is_settled = changed.elapsed() >= self.times.duration;
                self.leases.send_replace(known.clone());
                self.clean(&known, &found.replicas, &me, &mut cleaned);
                if before.is_none_or(|before| *before != found) {
                    reported.send_replace(Some(Arc::new(found)));
                }
            }
            let expiries =
                known.values().map(|seen| seen.expires(self.times)).filter(|at| *at > Instant::now());
            let settles = Some(changed + self.times.duration).filter(|at| *at > Instant::now());
            let next = expiries.chain(settles).min();
            let event = tokio::select! {
                () = &mut watching => return Ok(()),
                event = events.recv() => event,
                () = sleep_until(next) => None,
            };
            match event {
                None => {}
                Some(LeaseEvent::Denied(why)) if !is_synced => return Err(why),
                Some(LeaseEvent::Denied(why)) => tracing::error!(why, "cannot watch the leases; retrying"),
                Some(LeaseEvent::Listing) => unseen = known.keys().cloned().collect(),
                Some(LeaseEvent::Listed) => {
                    for name in std::mem::take(&mut unseen) {
                        known.remove(&name);
                    }
                    is_synced = true;
                }
                Some(LeaseEvent::Present(name, lease)) => {
                    unseen.remove(&name);
                    let is_election = name == self.leader;
                    self.lasting().note(&lease.spec);
                    if known.get(&name).is_none_or(|seen| seen.lease.version != lease.version) {
                        known.insert(name, SeenLease { lease, since: Instant::now() });
                    }
                    if is_election {
                        elections.send_replace(());
                    }
                }
                Some(LeaseEvent::Absent(name)) => drop(known.remove(&name)),
            }
        }
    }

    fn membership(&self, known: &BTreeMap<String, SeenLease>, me: &Replica, is_draining: bool) -> Membership {
        let now = Instant::now();
        let others = known.iter().filter(|(name, _)| **name != me.name && **name != self.leader);
        let is_valid =
            |seen: &SeenLease| !seen.lease.spec.holder().is_empty() && seen.expires(self.times) > now;
        let valid = others.filter(|(_, seen)| is_valid(seen));
        let mut found = Membership::default();
        let mut replicas = Vec::new();
        for (name, seen) in valid {
            let replica = Replica { name: name.clone(), holder: seen.lease.spec.holder().to_owned() };
            found.alive.insert(replica.holder.clone());
            if !seen.lease.labels.contains_key(keys::DRAINING) {
                replicas.push(replica);
            }
        }
        found.alive.insert(me.holder.clone());
        if !is_draining {
            replicas.push(me.clone());
        }
        found.replicas = Replicas::new(replicas);
        found
    }

    /// Deletes the Lease of a replica that has been gone for long: one replica does that.
    fn clean(
        &self,
        known: &BTreeMap<String, SeenLease>,
        replicas: &Replicas,
        me: &Replica,
        cleaned: &mut BTreeSet<String>,
    ) {
        if replicas.iter().next().is_none_or(|first| first.name != me.name) {
            return;
        }
        let now = Instant::now();
        let old = known.iter().find(|(name, seen)| {
            **name != self.leader
                && now > seen.since + self.times.duration * DELETED_AFTER
                && !cleaned.contains(&seen.lease.version)
        });
        let Some((name, seen)) = old else { return };
        cleaned.insert(seen.lease.version.clone());
        let (session, namespace) = (self.session.clone(), self.namespace.clone());
        let (name, version) = (name.clone(), seen.lease.version.clone());
        tokio::spawn(async move {
            if let Err(error) = session.delete_lease(&namespace, &name, &version).await {
                let error = chain(&error);
                tracing::debug!(lease = name, error, "cannot delete the lease of a replica that is gone");
            }
        });
    }

    /// Whether a holder is gone for ever. Ends it if its Lease has run out.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn is_gone(&self, holder: &str) -> Result<bool, ApiError> {
        // Many releases of one owner ask at the same time: one of them looks, for all.
        let mut looked = self.looked.lock().await;
        if let Some(is_gone) = looked.known(holder, Instant::now()) {
            return Ok(is_gone);
        }
        let found = match pod_of(holder) {
            // No replica has such a name.
            None => Ok(true),
            Some(pod) => {
                let name = name_of(&self.leader, pod);
                let look = self.end(&mut looked, &name, holder);
                let found = tokio::time::timeout(self.times.deadline, look).await;
                found.unwrap_or(Err(ApiError::Timeout(self.times.deadline)))
            }
        };
        if found.is_err() {
            self.note_unanswered();
        }
        looked.note(holder, matches!(found, Ok(true)), Instant::now(), self.times.retry / 4);
        if let Ok(true) = found {
            tracing::info!(holder, "a replica is gone: its releases are taken over");
        }
        found
    }

    async fn end(&self, looked: &mut Looked, name: &str, holder: &str) -> Result<bool, ApiError> {
        let lease = self.session.read_lease(&self.namespace, name).await?;
        if lease.version.is_empty() {
            // A person may have deleted it: its holder notices at its next renewal.
            let (since, last) =
                looked.absent.get(holder).copied().unwrap_or((Instant::now(), Instant::now()));
            // Between two looks it may have been there again.
            let since = if last.elapsed() > self.times.retry * 2 { Instant::now() } else { since };
            looked.absent.insert(holder.to_owned(), (since, Instant::now()));
            let is_over = since.elapsed() >= self.lasting().of(holder, self.times);
            return Ok(is_over && !self.may_have_been_away());
        }
        looked.absent.remove(holder);
        if lease.spec.holder() != holder {
            looked.seen.remove(name);
            return Ok(true);
        }
        let watched = self.leases.borrow().get(name).map(|seen| (seen.lease.version.clone(), seen.since));
        let before = looked.seen.get(name).map(|seen| (seen.lease.version.clone(), seen.since));
        let same = [watched, before].into_iter().flatten().filter(|(version, _)| *version == lease.version);
        let since = same.map(|(_, since)| since).min().unwrap_or_else(Instant::now);
        self.lasting().note(&lease.spec);
        let seen = SeenLease { lease, since };
        let is_valid = since + self.lasting().of(holder, self.times) > Instant::now();
        if is_valid || self.may_have_been_away() {
            looked.seen.insert(name.to_owned(), seen);
            return Ok(false);
        }
        let SeenLease { lease, .. } = seen;
        let ended = Lease { spec: lease.spec.ended(), ..lease };
        match self.session.write_lease(&self.namespace, name, &ended).await {
            Ok(_) => {
                looked.seen.remove(name);
                Ok(true)
            }
            // It was renewed, or another replica has ended it: the next look tells.
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The pause before the next attempt to move a release.
    pub fn pause(&self) -> Duration {
        (self.times.retry / 4).mul_f64(0.8 + 0.4 * fastrand::f64())
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_lasts_as_long_as_its_holder_knows() {
        let (mut lasting, times) = (Lasting::default(), LeaseTimes::of(SECOND * 15));
        let check = |lasting: &Lasting, holder: &str, expected: u32| {
            assert_eq!(lasting.of(holder, times), SECOND * expected, "{holder}");
        };
        let said = |holder: &str, seconds: u32| {
            LeaseSpec::held_by(holder.into(), SECOND * seconds, 0, jiff::Timestamp::UNIX_EPOCH)
        };
        check(&lasting, "a_1", 15);
        for (holder, seconds) in [("a_1", 60), ("b_1", 5), ("c_1", 9000), ("", 60)] {
            lasting.note(&said(holder, seconds));
        }
        // A person shortens it, and deletes it.
        lasting.note(&said("a_1", 1));
        check(&lasting, "a_1", 60);
        check(&lasting, "b_1", 15);
        check(&lasting, "c_1", 120);
        check(&lasting, "", 15);
        check(&lasting, "a_2", 15);
        for n in 0..MAX_VOID * 2 {
            lasting.note(&said(&format!("d_{n}"), 60));
        }
        assert!(lasting.0.len() <= MAX_VOID);
    }

    #[test]
    fn one_look_at_a_lease_is_the_answer_for_all_that_ask_at_that_time() {
        let (mut looked, now) = (Looked::default(), Instant::now());
        let check = |looked: &Looked, after: u32, expected: Option<bool>| {
            assert_eq!(looked.known("a_1", now + SECOND * after), expected, "{after}");
        };
        check(&looked, 0, None);
        looked.note("a_1", false, now, SECOND * 2);
        check(&looked, 1, Some(false));
        assert_eq!(looked.known("b_1", now), None);
        // Later it may have ended.
        check(&looked, 2, None);
        looked.note("a_1", true, now + SECOND * 2, SECOND * 2);
        check(&looked, 2, Some(true));
        check(&looked, 1000, Some(true));
        assert!(looked.again.is_empty());
    }
}
