//! Which release has which object, over all releases of the process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::Inventory;
use crate::domain::plan::Conflict;

/// The directory. Shared by all releases.
#[derive(Debug, Default)]
pub struct Claims {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    named: HashMap<ReleaseId, Arc<Inventory>>,
    reserved: HashMap<ObjectId, ReleaseId>,
    wanted: HashMap<ObjectId, ReleaseId>,
}

impl Claims {
    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the inventory of a release names from now on.
    pub fn publish(&self, release: &ReleaseId, inventory: &Arc<Inventory>) {
        self.write(|i| {
            i.reserved.retain(|id, owner| owner != release || inventory.entries.contains_key(id));
            i.named.insert(release.clone(), Arc::clone(inventory));
        });
    }

    /// The release is gone.
    pub fn forget(&self, release: &ReleaseId) {
        self.write(|i| {
            i.named.remove(release);
            i.reserved.retain(|_, owner| owner != release);
            i.wanted.retain(|_, heir| heir != release);
        });
    }

    /// Whether a release's inventory names an object; `None` when the release
    /// is not one of this process.
    pub fn names(&self, release: &ReleaseId, id: &ObjectId) -> Option<bool> {
        self.read(|i| i.named.get(release).map(|n| n.entries.contains_key(id)))
    }

    /// Reserves objects that are about to be applied, all or, when others have
    /// reserved some, none: those are returned.
    pub fn reserve<'a>(
        &self,
        release: &ReleaseId,
        ids: impl Iterator<Item = &'a ObjectId> + Clone,
    ) -> Vec<Conflict> {
        self.write(|i| {
            let others = ids.clone().filter_map(|id| {
                let owner = i.reserved.get(id).filter(|owner| *owner != release)?;
                Some(Conflict { id: id.clone(), owner: owner.clone() })
            });
            let taken: Vec<Conflict> = others.collect();
            if taken.is_empty() {
                i.reserved.extend(ids.map(|id| (id.clone(), release.clone())));
            }
            taken
        })
    }

    /// Who has reserved an object.
    pub fn reserved(&self, id: &ObjectId) -> Option<ReleaseId> {
        self.read(|i| i.reserved.get(id).cloned())
    }

    /// A release waits for objects that others have. Replaces what it waited
    /// for before.
    pub fn want<'a>(&self, release: &ReleaseId, ids: impl Iterator<Item = &'a ObjectId>) {
        self.write(|i| {
            i.wanted.retain(|_, heir| heir != release);
            for id in ids {
                i.wanted.entry(id.clone()).or_insert_with(|| release.clone());
            }
        });
    }

    /// Who waits for an object.
    pub fn heir(&self, id: &ObjectId) -> Option<ReleaseId> {
        self.read(|i| i.wanted.get(id).cloned())
    }

    /// An object was let go: whoever waits for it may have it.
    pub fn release_to_heir(&self, id: &ObjectId) -> Option<ReleaseId> {
        self.write(|i| {
            i.reserved.remove(id);
            i.wanted.get(id).cloned()
        })
    }
}
