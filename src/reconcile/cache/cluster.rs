//! The inventory of a release, and what is seen of its objects.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::cluster::inventory::{Stored, Taken};
use crate::cluster::session::Identity;
use crate::cluster::store::Watched;
use crate::domain::drift::drift_kind;
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::inventory::{Entry, Inventory};
use crate::domain::live::Record;
use crate::reconcile::env::Env;
use crate::reconcile::live::watched::synced;

/// The inventory, and what is seen of its objects.
#[derive(Default)]
pub struct ClusterCache {
    /// The inventory as last read or written; `None` until it is read.
    pub stored: Option<Stored>,
    /// The same, as the directory of claims has it.
    pub inventory: Arc<Inventory>,
    /// What that takes of the memory for inventories.
    pub taken: Arc<Taken>,
    /// Watches over the kinds of the inventory, by kind and namespace.
    pub watches: Vec<Arc<Watched>>,
    /// Whose rights they were made with.
    pub identity: Option<Identity>,
    /// Resource versions that our last applies answered with, for objects whose
    /// watch may lag behind.
    pub versions: HashMap<ObjectId, u64>,
    /// Pods that were asked for, because their metadata does not say whether they
    /// have run to their end.
    pub asked: HashMap<ObjectId, AskedPod>,
    /// Objects that have run to their end and do not exist any more, with their uids, as
    /// the API server has said: a watch does not tell a deletion from a lost label.
    pub gone: HashMap<ObjectId, String>,
    /// Objects that left and stay, as the last look found them.
    pub retained: HashMap<ObjectId, Mark>,
    /// Watches that were not synced when the last run looked.
    pub blind: Vec<Arc<Watched>>,
    /// Objects that no watch showed when the last run looked, and that may not be read.
    pub unread: BTreeSet<ObjectId>,
}

/// How far a pod was when it was asked for.
#[derive(Clone, Debug)]
pub struct AskedPod {
    /// Which pod of that name.
    pub uid: String,
    /// Until which resource version that is known.
    pub version: u64,
    /// Whether it has run to its end.
    pub succeeded: bool,
}

/// What decides whether an object that left stays: its uid, none when it is gone, whose
/// it is, whether it opts out, and whether it is being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    uid: Option<String>,
    owner: Option<ReleaseId>,
    prune_disabled: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Mark {
    /// Of what is known of an object now.
    pub fn of(record: Option<&Record>) -> Self {
        record.map_or_else(Self::default, |record| Self {
            uid: Some(record.uid.clone()),
            owner: record.owner.clone(),
            prune_disabled: record.prune_disabled,
            deleting: record.deleting,
        })
    }
}

impl ClusterCache {
    /// Takes over an inventory that was read or written.
    pub fn remember(&mut self, env: &Env, release: &ReleaseId, stored: Stored) {
        self.inventory = Arc::clone(&stored.inventory);
        self.taken = Arc::clone(&stored.taken);
        env.wake(env.claims.publish(release, &self.inventory));
        self.stored = Some(stored);
    }

    /// Whether the inventory is the complete result of a revision and its options.
    pub fn is_settled(&self, key: &str) -> bool {
        self.inventory.applied.as_deref() == Some(key)
    }

    /// What decides whether an object that left stays, as far as its watch knows.
    pub fn mark(&self, id: &ObjectId) -> Option<Mark> {
        synced(&self.watches, id).map(|watch| Mark::of(watch.record(id).as_ref()))
    }

    /// Whether an object is not as the apply left it that the entry records, as far as
    /// its watch knows.
    pub fn differs(&self, id: &ObjectId, entry: &Entry) -> bool {
        let Some(watch) = synced(&self.watches, id) else { return false };
        let (record, applied) = (watch.record(id), self.versions.get(id).copied().unwrap_or_default());
        let unsure = record.is_none() && self.may_be_unlabelled(id, entry);
        unsure || drift_kind(entry, record.as_ref(), applied).is_some()
    }

    /// Lets go of watches over kinds that the inventory does not name any more.
    pub fn drop_unused_watches(&mut self) {
        let kinds: BTreeSet<(GroupKind, &str)> =
            self.inventory.entries.keys().map(|id| (id.group_kind(), id.namespace.as_str())).collect();
        self.watches.retain(|watched| {
            let scope = watched.scope();
            let kind = scope.resource.group_kind();
            kinds.iter().any(|(k, n)| *k == kind && scope.namespace.as_deref().is_none_or(|s| s == *n))
        });
    }
}
