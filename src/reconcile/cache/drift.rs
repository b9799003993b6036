//! The objects of a release that other writers keep changing.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::cluster::ClusterCache;
use crate::domain::drift::CorrectionBackoff;
use crate::domain::identity::ObjectId;

/// The objects that other writers keep changing.
#[derive(Default)]
pub struct DriftCache {
    /// Their backoffs.
    pub backoffs: HashMap<ObjectId, CorrectionBackoff>,
    /// Objects with drift that is not corrected.
    pub drifted: BTreeSet<ObjectId>,
}

impl DriftCache {
    /// Those of the given objects whose correction is not delayed now.
    pub fn correctable<'a>(
        &self,
        ids: impl Iterator<Item = &'a ObjectId>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a ObjectId> {
        ids.filter(move |id| self.backoffs.get(*id).is_none_or(|c| c.paused_until(now).is_none()))
    }

    /// When the next delayed correction is due, if there is one.
    pub fn next_correction(&self, now: Timestamp) -> Option<Timestamp> {
        self.backoffs.values().filter_map(|c| c.next_look(now)).min()
    }
}

/// What the watches show of the objects, and which of those may be corrected.
#[derive(Clone, Copy)]
pub struct Sightings<'a> {
    /// The objects in the cluster.
    pub cluster: &'a ClusterCache,
    /// The delayed corrections.
    pub drift: &'a DriftCache,
}

impl Sightings<'_> {
    /// Whether one of the objects differs from our last apply, as far as its watch shows.
    pub fn is_drifted<'i>(&self, ids: impl Iterator<Item = &'i ObjectId>, now: Timestamp) -> bool {
        let cluster = self.cluster;
        self.drift.correctable(ids, now).any(|id| {
            match cluster.inventory.entries.get(id) {
                None => false,
                // It was deleted, given to another owner, or its prune annotation has changed.
                Some(entry) if entry.retained => cluster.retained.get(id) != cluster.mark(id).as_ref(),
                Some(entry) => cluster.differs(id, entry),
            }
        })
    }

    /// Whether an object that is still part of the release has drifted: that must not wait.
    pub fn is_urgent(&self, id: &ObjectId, now: Timestamp) -> bool {
        let left = self.cluster.inventory.entries.get(id).is_some_and(|entry| entry.retained);
        // It cannot be corrected before it is gone.
        let going = self.cluster.mark(id).is_some_and(|mark| mark.deleting);
        !left && !going && self.is_drifted(std::iter::once(id), now)
    }
}
