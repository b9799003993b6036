//! All releases, of every replica, and what this replica has to do about each.

use std::collections::HashMap;
use std::sync::Arc;

use super::members::Membership;
use super::moves::Move;
use crate::api::status::OwnerStatus;
use crate::domain::identity::ReleaseId;
use crate::domain::kept::KeptRelease;
use crate::domain::replicas::{Duty, Replica, ReplicaState, Replicas, ShardKey, duty};

/// The releases.
#[derive(Default)]
pub struct ReleaseTable {
    rows: HashMap<ReleaseId, Row>,
    /// What is in progress. It outlives the row of a release that is gone: one of the same name may come.
    in_progress: HashMap<ReleaseId, InProgress>,
    membership: Option<Arc<Membership>>,
    /// What this replica is called as an owner; absent: it works only while it leads.
    holder: Option<String>,
    leads: bool,
    /// How many lists of all releases have begun.
    list: u64,
    /// The first list that began after this replica leads. What was seen before may be older than the
    /// last hand-over of the leader before.
    first_list_as_leader: u64,
    /// The API server does not keep owners: the leader works on all releases.
    is_unkept: bool,
}

/// What ends with another look at a release. There is only one at a time: while it lasts, nothing begins.
#[derive(Debug, PartialEq, Eq)]
enum InProgress {
    /// The actor of this number ends: its last run is not over.
    Leaving(u64),
    /// The release of this uid goes to another owner.
    Moving(String),
}

/// A release.
struct Row {
    seen: Arc<KeptRelease>,
    key: ShardKey,
    /// The term of the owner that a move has set, until its event is there: an event with a lower one is
    /// old. Events come in their order, so a lower one that comes later is new: the owner was lost.
    term: i64,
    /// The last owner that was seen.
    last: Option<OwnerStatus>,
    /// The list that it was seen in, or after.
    list: u64,
}

impl Row {
    fn owner(&self) -> Option<&OwnerStatus> {
        self.seen.owner.as_ref()
    }

    /// The owner, or the last one if the status has lost it.
    fn known_owner(&self) -> Option<&OwnerStatus> {
        self.owner().or(self.last.as_ref())
    }

    /// The term that the last event shows.
    fn seen_term(&self) -> i64 {
        self.owner().map_or(0, |owner| owner.term)
    }

    /// Whether the event of a move is still to come.
    fn is_behind(&self) -> bool {
        self.seen_term() < self.term
    }

    fn note_owner(&mut self) {
        if !self.is_behind() {
            self.term = 0;
        }
        if let Some(owner) = self.owner().cloned() {
            self.last = Some(owner);
        }
    }

    fn uid(&self) -> &str {
        self.seen.uid.as_deref().unwrap_or_default()
    }
}

impl ReleaseTable {
    /// Of a replica that shares the work as this holder, or works only while it leads.
    pub fn new(holder: Option<String>) -> Self {
        Self { holder, ..Self::default() }
    }

    /// A list of all releases begins.
    pub fn list_begins(&mut self) {
        self.list += 1;
    }

    /// From now on this replica leads; the next list shows the releases as they are now.
    pub fn lead(&mut self) {
        self.leads = true;
        self.first_list_as_leader = self.list + 1;
    }

    /// The replicas have changed.
    pub fn set_membership(&mut self, membership: Arc<Membership>) {
        self.membership = Some(membership);
    }

    /// The API server does not keep owners.
    pub fn owners_are_not_kept(&mut self) -> bool {
        !std::mem::replace(&mut self.is_unkept, true)
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = &ReleaseId> {
        self.rows.keys()
    }

    /// The state of a release.
    pub fn seen(&self, id: &ReleaseId) -> Option<&Arc<KeptRelease>> {
        self.rows.get(id).map(|row| &row.seen)
    }

    /// Whether a release is known with another uid.
    pub fn is_another(&self, id: &ReleaseId, uid: Option<&str>) -> bool {
        self.rows.get(id).is_some_and(|row| row.seen.uid.as_deref() != uid)
    }

    /// A release is there, or has changed.
    pub fn present(&mut self, id: &ReleaseId, seen: Arc<KeptRelease>) {
        let key = ShardKey::of(&id.namespace, &id.name, seen.shard_label.as_deref());
        let list = self.list;
        match self.rows.get_mut(id) {
            Some(row) => {
                row.seen = seen;
                row.key = key;
                row.list = list;
                row.note_owner();
            }
            None => {
                let mut row = Row { seen, key, term: 0, last: None, list };
                row.note_owner();
                self.rows.insert(id.clone(), row);
            }
        }
    }

    /// A release is gone.
    pub fn absent(&mut self, id: &ReleaseId) -> bool {
        self.rows.remove(id).is_some()
    }

    /// The actor of this number leaves the release: its last run ends first.
    pub fn leaves(&mut self, id: &ReleaseId, number: u64) {
        self.in_progress.insert(id.clone(), InProgress::Leaving(number));
    }

    /// Whether an actor leaves the release.
    pub fn is_left(&self, id: &ReleaseId) -> bool {
        matches!(self.in_progress.get(id), Some(InProgress::Leaving(_)))
    }

    /// The actor of this number has ended. Returns whether it was to leave the release.
    pub fn has_left(&mut self, id: &ReleaseId, number: u64) -> bool {
        self.ends(id, &InProgress::Leaving(number))
    }

    fn ends(&mut self, id: &ReleaseId, what: &InProgress) -> bool {
        let is_it = self.in_progress.get(id) == Some(what);
        if is_it {
            self.in_progress.remove(id);
        }
        is_it
    }

    /// A move has ended. Returns whether it was that of this release, and not of one before it of the same name.
    pub fn moved(&mut self, id: &ReleaseId, uid: &str, owner: Option<&OwnerStatus>) -> bool {
        self.ends(id, &InProgress::Moving(uid.to_owned()));
        let Some(row) = self.rows.get_mut(id).filter(|row| row.uid() == uid) else { return false };
        row.term = owner.map_or(0, |owner| owner.term).max(row.term);
        // Its event may have come before the answer.
        row.note_owner();
        true
    }

    /// What this replica has to do about a release; `None` while that is not known, or something is in
    /// progress.
    pub fn duty(&self, id: &ReleaseId, is_at_work: bool) -> Option<Duty> {
        let row = self.rows.get(id).filter(|_| !self.in_progress.contains_key(id))?;
        let owner = row.known_owner();
        if row.is_behind() {
            return None;
        }
        let is_leaders = owner.is_none_or(|owner| owner.holder.is_empty());
        if self.leads && is_leaders && row.list < self.first_list_as_leader {
            return None;
        }
        let (alone, nobody) = (Replicas::default(), Membership::default());
        let membership = self.membership.as_deref().unwrap_or(&nobody);
        let state = ReplicaState {
            holder: self.holder.clone(),
            leads: self.leads,
            is_settled: membership.is_settled,
        };
        let replicas = if self.is_unkept { &alone } else { &membership.replicas };
        let is_alive = |holder: &str| membership.alive.contains(holder);
        let found = duty(owner, row.key, is_at_work, &state, replicas, is_alive);
        // Its status names no owner any more: it gets the same one again.
        let is_lost = row.owner().is_none() && row.last.as_ref().is_some_and(|last| !last.holder.is_empty());
        let me = || membership.replicas.iter().find(|replica| Some(&replica.holder) == self.holder.as_ref());
        match found {
            Duty::Work if is_lost => me().cloned().map(Duty::HandOver),
            found => Some(found),
        }
    }

    /// The move of a release to another replica, or to this one from an owner that is gone.
    pub fn plan_move(&mut self, id: &ReleaseId, to: Option<&Replica>) -> Option<Move> {
        let holder = self.holder.clone().unwrap_or_default();
        let row = self.rows.get(id)?;
        let from = match to {
            Some(_) => None,
            None => Some(row.known_owner()?.holder.clone()),
        };
        let term = row.known_owner().map_or(0, |owner| owner.term).max(row.term) + 1;
        let holder = to.map_or(holder, |replica| replica.holder.clone());
        let uid = row.uid().to_owned();
        let version = row.seen.resource_version.clone().unwrap_or_default();
        self.in_progress.insert(id.clone(), InProgress::Moving(uid.clone()));
        Some(Move { id: id.clone(), uid, version, from, to: OwnerStatus { holder, term } })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id() -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: "web".into() }
    }

    fn seen(uid: &str, owner: &str, term: i64) -> Arc<KeptRelease> {
        let release = json!({
            "metadata": {"namespace": "apps", "name": "web", "uid": uid, "resourceVersion": "7"},
            "spec": {"url": "oci://registry.example/web"},
            "status": {"owner": {"holder": owner, "term": term}},
        });
        Arc::new(KeptRelease::read(&release.to_string()).unwrap())
    }

    /// The table of the replica `a_1`, which is alone and has the release.
    fn table() -> ReleaseTable {
        let replica = Replica { name: "a".into(), holder: "a_1".into() };
        let membership = Membership {
            alive: [replica.holder.clone()].into(),
            replicas: Replicas::new([replica]),
            is_settled: true,
        };
        let mut table = ReleaseTable::new(Some("a_1".into()));
        table.set_membership(Arc::new(membership));
        table.present(&id(), seen("u-1", "a_1", 3));
        table
    }

    fn other() -> Replica {
        Replica { name: "b".into(), holder: "b_1".into() }
    }

    #[test]
    fn nothing_begins_before_what_is_in_progress_has_ended() {
        let mut table = table();
        assert_eq!(table.duty(&id(), false), Some(Duty::Work));
        table.leaves(&id(), 7);
        assert!(table.is_left(&id()) && table.duty(&id(), false).is_none());
        // Another actor, a move of another release, and a new sight of this one do not end it.
        assert!(!table.has_left(&id(), 6) && !table.moved(&id(), "u-2", None));
        table.moved(&id(), "u-1", None);
        table.absent(&id());
        table.present(&id(), seen("u-1", "a_1", 3));
        assert_eq!(table.duty(&id(), false), None);
        assert!(table.has_left(&id(), 7) && !table.has_left(&id(), 7));
        assert_eq!(table.duty(&id(), false), Some(Duty::Work));
    }

    #[test]
    fn a_release_that_comes_back_while_it_moves_is_not_worked_on() {
        let mut table = table();
        let planned = table.plan_move(&id(), Some(&other())).unwrap();
        assert_eq!((planned.uid.as_str(), planned.to.term), ("u-1", 4));
        // It does not match the selector for a moment, and what is seen then is older than the move.
        table.absent(&id());
        table.present(&id(), seen("u-1", "a_1", 3));
        assert!(table.duty(&id(), false).is_none() && !table.has_left(&id(), 7));
        assert!(table.moved(&id(), "u-1", Some(&planned.to)));
        assert_eq!(table.duty(&id(), false), None, "its event is still to come");
        table.present(&id(), seen("u-1", "b_1", 4));
        assert_ne!(table.duty(&id(), false), Some(Duty::Work));
    }

    #[test]
    fn a_release_of_the_same_name_waits_for_the_move_of_the_one_before() {
        let mut table = table();
        let planned = table.plan_move(&id(), Some(&other())).unwrap();
        table.absent(&id());
        table.present(&id(), seen("u-2", "a_1", 1));
        assert_eq!(table.duty(&id(), false), None);
        assert!(!table.moved(&id(), "u-1", Some(&planned.to)));
        assert_eq!(table.duty(&id(), false), Some(Duty::Work));
    }
}
