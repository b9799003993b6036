//! What others keep changing of the objects of a release.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::cluster::ClusterCache;
use crate::domain::drift::CorrectionBackoff;
use crate::domain::identity::ObjectId;

/// What others keep changing.
#[derive(Default)]
pub struct DriftCache {
    /// Objects that others keep changing.
    pub backoffs: HashMap<ObjectId, CorrectionBackoff>,
    /// Objects that were found changed and are not put back.
    pub drifted: BTreeSet<ObjectId>,
}

impl DriftCache {
    /// The objects whose correction is not held back now, of those given.
    pub fn correctable<'a>(
        &self,
        ids: impl Iterator<Item = &'a ObjectId>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a ObjectId> {
        ids.filter(move |id| self.backoffs.get(*id).is_none_or(|c| c.paused_until(now).is_none()))
    }

    /// When a fight has to be looked at next; none when there is none.
    pub fn next_correction(&self, now: Timestamp) -> Option<Timestamp> {
        self.backoffs.values().filter_map(|c| c.next_look(now)).min()
    }
}

/// What the watches show of the objects, and which of those may be put back.
#[derive(Clone, Copy)]
pub struct Sightings<'a> {
    /// What is seen.
    pub cluster: &'a ClusterCache,
    /// What is held back.
    pub drift: &'a DriftCache,
}

impl Sightings<'_> {
    /// Whether one of the objects is not as our last apply left it, as far as
    /// its watch knows.
    pub fn is_drifted<'i>(&self, ids: impl Iterator<Item = &'i ObjectId>, now: Timestamp) -> bool {
        let cluster = self.cluster;
        self.drift.correctable(ids, now).any(|id| {
            match cluster.inventory.entries.get(id) {
                None => false,
                // It was deleted, given to another, or changed its mind about staying.
                Some(entry) if entry.retained => cluster.retained.get(id) != cluster.mark(id).as_ref(),
                Some(entry) => cluster.differs(id, entry),
            }
        })
    }

    /// Whether one that is still part of the release has drifted: what must not wait.
    pub fn is_urgent(&self, id: &ObjectId, now: Timestamp) -> bool {
        let left = self.cluster.inventory.entries.get(id).is_some_and(|entry| entry.retained);
        // Nothing can be put back before it is gone.
        let going = self.cluster.mark(id).is_some_and(|mark| mark.deleting);
        !left && !going && self.is_drifted(std::iter::once(id), now)
    }
}
