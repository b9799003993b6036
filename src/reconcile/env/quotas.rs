//! What the releases of each namespace have and may have: all releases of the process.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::gate::QuotaFacts;
use crate::domain::identity::ReleaseId;
use crate::domain::observed::ObservedRelease;
use crate::domain::quota::{NamespaceUsage, Quota};
use crate::domain::release::id_of;

/// The usage of all namespaces. Without a quota nothing is counted.
#[derive(Debug, Default)]
pub struct Quotas {
    quota: Quota,
    namespaces: Mutex<HashMap<String, NamespaceUsage>>,
}

impl Quotas {
    /// Without releases.
    pub fn new(quota: Quota) -> Self {
        Self { quota, namespaces: Mutex::default() }
    }

    /// Whether there is a quota at all.
    pub fn is_limited(&self) -> bool {
        self.quota != Quota::default()
    }

    fn with<T>(&self, namespace: &str, change: impl FnOnce(&mut NamespaceUsage) -> T) -> T {
        let mut all = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(all.entry(namespace.to_owned()).or_default());
        if all.get(namespace).is_some_and(NamespaceUsage::is_empty) {
            all.remove(namespace);
        }
        result
    }

    /// A release is there, or has changed. Returns those that have to look at their quota again.
    pub fn present(&self, seen: &ObservedRelease) -> BTreeSet<ReleaseId> {
        if !self.is_limited() {
            return BTreeSet::new();
        }
        let id = id_of(&seen.resource);
        let created = seen.resource.metadata.creation_timestamp.as_ref();
        let created = created.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let inventory = seen.resource.status.as_ref().and_then(|status| status.inventory.as_ref());
        let held = inventory.map_or(0, |inventory| usize::try_from(inventory.entries).unwrap_or(0));
        let changed = self.with(&id.namespace, |usage| usage.present(&id.name, created, held, self.quota));
        of(&id, changed)
    }

    /// A release is gone. Returns those that have to look at their quota again.
    pub fn absent(&self, id: &ReleaseId) -> BTreeSet<ReleaseId> {
        if !self.is_limited() {
            return BTreeSet::new();
        }
        of(id, self.with(&id.namespace, |usage| usage.absent(&id.name, self.quota)))
    }

    /// The facts of a release at the begin of a run.
    pub fn of_release(&self, id: &ReleaseId) -> QuotaFacts {
        let limit = self.quota.releases;
        let is_beyond =
            limit.is_some() && self.with(&id.namespace, |usage| usage.is_beyond(&id.name, self.quota));
        QuotaFacts { releases: limit.filter(|_| is_beyond), objects: None }
    }

    /// The facts of a release that is about to apply so many objects. They count from now on.
    pub fn of_plan(&self, id: &ReleaseId, planned: usize) -> QuotaFacts {
        let objects = self.quota.objects.map(|limit| {
            let others = self.with(&id.namespace, |usage| usage.plan(&id.name, planned, self.quota));
            (limit, others)
        });
        QuotaFacts { objects, ..self.of_release(id) }
    }
}

fn of(id: &ReleaseId, names: BTreeSet<String>) -> BTreeSet<ReleaseId> {
    names.into_iter().map(|name| ReleaseId { namespace: id.namespace.clone(), name }).collect()
}
