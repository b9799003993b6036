//! The inventory of a release, and what is known of its objects.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::cluster::inventory::{Stored, Taken};
use crate::cluster::session::Session;
use crate::cluster::store::Watched;
use crate::domain::drift::drift_kind;
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::inventory::{Entry, Inventory};
use crate::domain::live::Record;
use crate::domain::manifest::chart::ChartRecord;
use crate::reconcile::env::Env;
use crate::reconcile::live::watched::synced;

/// The inventory, and what is known of its objects.
#[derive(Default)]
pub struct ClusterCache {
    /// The inventory as last read or written; `None` until it is read.
    pub stored: Option<Stored>,
    /// The same, as in the directory of claims.
    pub inventory: Arc<Inventory>,
    /// Its share of the memory for inventories.
    pub taken: Arc<Taken>,
    /// Watches over the kinds of the inventory, by kind and namespace.
    pub watches: Vec<Arc<Watched>>,
    /// The identity of these watches, in the cluster of the objects.
    pub session: Option<Session>,
    /// Resource versions that our last applies answered with, for objects whose
    /// watch may lag behind.
    pub versions: HashMap<ObjectId, u64>,
    /// Pods that were fetched, because their metadata does not say whether they have finished.
    pub asked: HashMap<ObjectId, AskedPod>,
    /// Objects that have finished and do not exist any more, with their uids, as the API server has
    /// confirmed: a watch does not distinguish a deletion from a removed label.
    pub gone: HashMap<ObjectId, String>,
    /// Objects that left the revision and still exist, as the last check found them.
    pub retained: HashMap<ObjectId, Mark>,
    /// Watches that were not synced in the last run.
    pub blind: Vec<Arc<Watched>>,
    /// The program that has built the revision of the run, if it was built.
    pub built: Option<String>,
    /// What the chart of the last run was rendered for.
    pub chart: Option<Arc<ChartRecord>>,
    /// Objects that no watch showed in the last run, and that cannot be read.
    pub unread: BTreeSet<ObjectId>,
}

/// The state of a pod when it was fetched.
#[derive(Clone, Debug)]
pub struct AskedPod {
    /// Its uid.
    pub uid: String,
    /// The resource version that was read.
    pub version: u64,
    /// Whether it has finished.
    pub succeeded: bool,
}

/// What decides whether an object that left is kept: its uid (`None` when it is gone), its owner,
/// whether it opts out, and whether it is being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    uid: Option<String>,
    owner: Option<ReleaseId>,
    prune_disabled: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Mark {
    /// From the current record of an object.
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
    /// Stores an inventory that was read or written.
    pub fn remember(&mut self, env: &Env, release: &ReleaseId, stored: Stored) {
        self.inventory = Arc::clone(&stored.inventory);
        self.taken = Arc::clone(&stored.taken);
        env.wake(env.target.claims.publish(release, &self.inventory));
        self.stored = Some(stored);
    }

    /// What the chart of a revision was rendered for, as far as it is known.
    pub fn chart_of(&self, key: &str) -> Option<&Arc<ChartRecord>> {
        self.chart.iter().chain(&self.inventory.chart).find(|record| record.key == key)
    }

    /// Whether the inventory is the complete result of a revision and its options.
    pub fn is_settled(&self, key: &str) -> bool {
        self.inventory.applied.as_deref() == Some(key)
    }

    /// What decides whether an object that left is kept, as far as its watch shows.
    pub fn mark(&self, id: &ObjectId) -> Option<Mark> {
        synced(&self.watches, id).map(|watch| Mark::of(watch.record(id).as_ref()))
    }

    /// Whether an object differs from the apply that the entry records, as far as its watch shows.
    pub fn differs(&self, id: &ObjectId, entry: &Entry) -> bool {
        let Some(watch) = synced(&self.watches, id) else { return false };
        let (record, applied) = (watch.record(id), self.versions.get(id).copied().unwrap_or_default());
        let unsure = record.is_none() && self.may_be_unlabelled(id, entry);
        unsure || drift_kind(entry, record.as_ref(), applied).is_some()
    }

    /// Drops watches over kinds that are not in the inventory any more.
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
