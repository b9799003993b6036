//! All releases, of every replica, and what this replica has to do about each.

use std::collections::HashMap;
use std::sync::Arc;

use super::members::Membership;
use super::moves::Move;
use crate::api::status::OwnerStatus;
use crate::domain::identity::ReleaseId;
use crate::domain::observed::KeptRelease;
use crate::domain::replicas::{Duty, Replica, ReplicaState, Replicas, ShardKey, duty};

/// The releases.
#[derive(Default)]
pub struct ReleaseTable {
    rows: HashMap<ReleaseId, Row>,
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
    /// Something is in progress that ends with another look at it.
    is_busy: bool,
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
                let mut row = Row { seen, key, term: 0, last: None, list, is_busy: false };
                row.note_owner();
                self.rows.insert(id.clone(), row);
            }
        }
    }

    /// A release is gone.
    pub fn absent(&mut self, id: &ReleaseId) -> bool {
        self.rows.remove(id).is_some()
    }

    /// Something is in progress for a release, or has ended.
    pub fn set_busy(&mut self, id: &ReleaseId, is_busy: bool) {
        if let Some(row) = self.rows.get_mut(id) {
            row.is_busy = is_busy;
        }
    }

    /// A move has ended. Returns whether it was that of this release.
    pub fn moved(&mut self, id: &ReleaseId, uid: &str, owner: Option<&OwnerStatus>) -> bool {
        let Some(row) = self.rows.get_mut(id).filter(|row| row.uid() == uid) else { return false };
        row.is_busy = false;
        row.term = owner.map_or(0, |owner| owner.term).max(row.term);
        // Its event may have come before the answer.
        row.note_owner();
        true
    }

    /// What this replica has to do about a release; `None` while that is not known, or something is in
    /// progress.
    pub fn duty(&self, id: &ReleaseId, is_at_work: bool) -> Option<Duty> {
        let row = self.rows.get(id).filter(|row| !row.is_busy)?;
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
        let row = self.rows.get_mut(id)?;
        let from = match to {
            Some(_) => None,
            None => Some(row.known_owner()?.holder.clone()),
        };
        let term = row.known_owner().map_or(0, |owner| owner.term).max(row.term) + 1;
        row.is_busy = true;
        let holder = to.map_or(holder, |replica| replica.holder.clone());
        Some(Move {
            id: id.clone(),
            uid: row.uid().to_owned(),
            version: row.seen.resource_version.clone().unwrap_or_default(),
            from,
            to: OwnerStatus { holder, term },
        })
    }
}
