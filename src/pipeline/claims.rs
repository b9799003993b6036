//! Which release has which object, over all releases of the process.

use std::collections::{BTreeSet, HashMap};
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

    /// What the inventory of a release names from now on. Returns who waits for
    /// what it has let go by that: only now may they have it.
    pub fn publish(&self, release: &ReleaseId, inventory: &Arc<Inventory>) -> BTreeSet<ReleaseId> {
        self.write(|i| {
            i.reserved.retain(|id, owner| owner != release || inventory.claims(id));
            let before = i.named.insert(release.clone(), Arc::clone(inventory));
            i.heirs(before.as_deref(), |id| inventory.claims(id))
        })
    }

    /// The release is gone. Returns who waits for what it had.
    pub fn forget(&self, release: &ReleaseId) -> BTreeSet<ReleaseId> {
        self.write(|i| {
            i.reserved.retain(|_, owner| owner != release);
            i.wanted.retain(|_, heir| heir != release);
            let before = i.named.remove(release);
            i.heirs(before.as_deref(), |_| false)
        })
    }

    /// Whether a release has an object, by its inventory; `None` when the
    /// release is not one of this process.
    pub fn names(&self, release: &ReleaseId, id: &ObjectId) -> Option<bool> {
        self.read(|i| i.named.get(release).map(|n| n.claims(id)))
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
}

impl Inner {
    /// Who waits for an object that an inventory claimed and that is claimed no
    /// more.
    fn heirs(&self, before: Option<&Inventory>, still: impl Fn(&ObjectId) -> bool) -> BTreeSet<ReleaseId> {
        let Some(before) = before else { return BTreeSet::new() };
        let freed = self.wanted.iter().filter(|(id, _)| before.claims(id) && !still(id));
        freed.map(|(_, heir)| heir.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inventory::Entry;

    fn release(name: &str) -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: name.into() }
    }

    fn inventory(entries: &[(&str, bool)]) -> Arc<Inventory> {
        let entries = entries.iter().map(|(id, left)| {
            let id = ObjectId::from_inventory_id(&format!("apps_{id}__ConfigMap")).unwrap();
            (id, Entry { left: *left, ..Entry::default() })
        });
        Arc::new(Inventory { entries: entries.collect(), applied: None })
    }

    #[test]
    fn who_waits_is_told_once_the_object_is_free() {
        let (first, second) = (release("first"), release("second"));
        let claims = Claims::default();
        let told = |heirs: BTreeSet<ReleaseId>| !heirs.is_empty();
        let both = inventory(&[("x", false), ("y", false)]);
        claims.publish(&first, &both);
        claims.want(&second, both.entries.keys());
        assert!(!told(claims.publish(&first, &both)));
        assert!(told(claims.publish(&first, &inventory(&[("x", false)]))), "y is gone");
        assert!(told(claims.publish(&first, &inventory(&[("x", true)]))), "x was left");
        assert!(!told(claims.publish(&first, &inventory(&[]))), "x was free before");
        claims.publish(&first, &both);
        assert_eq!(claims.forget(&first), BTreeSet::from([second.clone()]));
        claims.want(&second, std::iter::empty());
        claims.publish(&first, &both);
        assert!(!told(claims.forget(&first)), "nobody waits");
    }
}
