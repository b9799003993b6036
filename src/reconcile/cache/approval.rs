//! A plan that waits for approval, so that an unchanged one is not made again.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

use super::cluster::ClusterCache;
use crate::domain::gate::Blocker;
use crate::domain::identity::ObjectId;
use crate::domain::release::approval::GivenApproval;

/// A plan that waits.
#[derive(Clone, Debug)]
pub struct AwaitedApproval {
    /// The revision and its inputs.
    pub key: String,
    /// The generation of the spec that it was made for.
    pub generation: i64,
    /// The hash of the plan.
    pub hash: String,
    /// The approval that did not fit.
    pub given: Option<GivenApproval>,
    /// What the release waits for.
    pub blocker: Blocker,
    /// When the approval that it has begins to count, if it does so by time alone.
    pub counts_from: Option<Timestamp>,
    /// The objects of the inventory when the plan was made.
    pub seen: SeenObjects,
}

/// What watches show of the objects of an inventory, as far as it matters to a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenObjects(BTreeMap<ObjectId, u64>);

impl SeenObjects {
    /// Of the present inventory.
    pub fn of(cluster: &ClusterCache) -> Self {
        Self(cluster.inventory.entries.keys().map(|id| (id.clone(), mark(cluster, id))).collect())
    }

    /// Whether one of these objects is another one now.
    pub fn differ(&self, cluster: &ClusterCache, touched: &HashSet<ObjectId>) -> bool {
        touched.iter().any(|id| self.0.get(id).is_some_and(|seen| *seen != mark(cluster, id)))
    }
}

fn mark(cluster: &ClusterCache, id: &ObjectId) -> u64 {
    let mut hash = DefaultHasher::new();
    if let Some(record) = cluster.record(id) {
        let owner = record.owner.map(|owner| owner.to_string());
        (record.uid, record.fields, owner, record.deleting, record.prune_disabled).hash(&mut hash);
    }
    hash.finish()
}
