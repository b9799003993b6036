//! Which release owns which object, for all releases of the process.
//!
//! It only avoids conflicts early. The owner of an object is decided by the cluster: labels,
//! inventories, and creations that fail if the object exists.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::Inventory;
use crate::domain::plan::Conflict;

/// The directory, shared by all releases.
#[derive(Debug, Default)]
pub struct Claims {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    named: HashMap<ReleaseId, Arc<Inventory>>,
    reserved: HashMap<ObjectId, ReleaseId>,
    wanted: HashMap<ObjectId, ReleaseId>,
    /// What a release waited for in an earlier process, or waits for in another one, as its status names
    /// it: until its first run here.
    awaited_before: HashMap<String, ReleaseId>,
    /// What a release leaves to another, until that one has applied it.
    offered: HashMap<ObjectId, ReleaseId>,
}

impl Claims {
    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The new inventory of a release. Returns the releases that wait for the objects it has given
    /// up, since these are free only now, and the releases that gave up the objects it has taken.
    pub fn publish(&self, release: &ReleaseId, inventory: &Arc<Inventory>) -> BTreeSet<ReleaseId> {
        self.write(|i| {
            i.reserved.retain(|id, owner| owner != release || inventory.claims(id));
            let before = i.named.insert(release.clone(), Arc::clone(inventory));
            i.offered.retain(|_, owner| owner != release);
            let left = inventory.entries.iter().filter(|(_, entry)| entry.retained);
            i.offered.extend(left.map(|(id, _)| (id.clone(), release.clone())));
            let mut notified = i.pending_owners(before.as_deref(), |id| inventory.claims(id));
            notified.extend(i.givers(|id| {
                let had = before.as_deref().is_some_and(|before| has(before, id));
                has(inventory, id) && !had
            }));
            notified.remove(release);
            notified
        })
    }

    /// The release is gone. Returns the releases that wait for its objects, and those that kept
    /// objects for it.
    pub fn forget(&self, release: &ReleaseId) -> BTreeSet<ReleaseId> {
        self.hand_over(release, Vec::new())
    }

    /// Another process works on the release from now on, and it waits for these objects. Returns the
    /// releases that wait for its objects, and those that kept objects that it does not wait for.
    pub fn hand_over(&self, release: &ReleaseId, awaited: Vec<String>) -> BTreeSet<ReleaseId> {
        self.write(|i| {
            i.reserved.retain(|_, owner| owner != release);
            i.offered.retain(|_, owner| owner != release);
            let mut notified = i.await_before(release, awaited);
            let before = i.named.remove(release);
            notified.extend(i.pending_owners(before.as_deref(), |_| false));
            notified
        })
    }

    /// Whether the inventory of a release has an object; `None` when the release does not belong to
    /// this process.
    pub fn names(&self, release: &ReleaseId, id: &ObjectId) -> Option<bool> {
        self.read(|i| i.named.get(release).map(|n| n.claims(id)))
    }

    /// Whether the inventory of a release has an object that it leaves to others; `None` when the
    /// release does not belong to this process.
    pub fn retains(&self, release: &ReleaseId, id: &ObjectId) -> Option<bool> {
        self.read(|i| i.named.get(release).map(|n| n.retains(id)))
    }

    /// Reserves objects before they are applied: all of them, or none if others have reserved some;
    /// these are returned.
    pub fn reserve<'a>(
        &self,
        release: &ReleaseId,
        ids: impl Iterator<Item = &'a ObjectId> + Clone,
    ) -> Vec<Conflict> {
        self.write(|i| {
            let others = ids.clone().filter_map(|id| {
                let owner = i.reserved.get(id).filter(|owner| *owner != release)?;
                Some(Conflict { id: id.clone(), owner: owner.clone(), elsewhere: None })
            });
            let taken: Vec<Conflict> = others.collect();
            if taken.is_empty() {
                i.reserved.extend(ids.map(|id| (id.clone(), release.clone())));
            }
            taken
        })
    }

    /// The release that has reserved an object.
    pub fn reserved(&self, id: &ObjectId) -> Option<ReleaseId> {
        self.read(|i| i.reserved.get(id).cloned())
    }

    /// A release of an earlier process, or of another one, waits for these objects, until it says here
    /// what it wants. Replaces its previous list. Returns the releases that keep objects for it that it
    /// does not wait for any more.
    pub fn wanted_before(&self, release: &ReleaseId, objects: Vec<String>) -> BTreeSet<ReleaseId> {
        self.write(|i| i.await_before(release, objects))
    }

    /// A release waits for objects of other releases that it may write. Replaces its previous list.
    /// Returns the releases that keep objects for it that it does not wait for any more.
    pub fn want<'a>(
        &self,
        release: &ReleaseId,
        ids: impl Iterator<Item = &'a ObjectId>,
    ) -> BTreeSet<ReleaseId> {
        let ids: BTreeSet<ObjectId> = ids.cloned().collect();
        self.write(|i| i.want(release, &ids))
    }

    /// A release does not wait any more. Returns the releases that keep objects for it.
    pub fn want_nothing(&self, release: &ReleaseId) -> BTreeSet<ReleaseId> {
        self.write(|i| i.want(release, &BTreeSet::new()))
    }

    /// The release that waits for an object, or is about to write it.
    pub fn pending_owner(&self, id: &ObjectId) -> Option<ReleaseId> {
        self.read(|i| {
            let known = i.wanted.get(id).or_else(|| i.reserved.get(id));
            let before = || Some(&i.awaited_before).filter(|b| !b.is_empty())?.get(&id.to_string());
            known.or_else(before).cloned()
        })
    }

    /// The same, if it is another one than the release that asks.
    pub fn other_pending_owner(&self, release: &ReleaseId, id: &ObjectId) -> Option<ReleaseId> {
        self.pending_owner(id).filter(|owner| owner != release)
    }
}

/// Whether an object was applied for the release of this inventory.
fn has(inventory: &Inventory, id: &ObjectId) -> bool {
    inventory.entries.get(id).is_some_and(|entry| !entry.retained && entry.uid.is_some())
}

impl Inner {
    /// See [`Claims::want`].
    fn want(&mut self, release: &ReleaseId, ids: &BTreeSet<ObjectId>) -> BTreeSet<ReleaseId> {
        let dropped: BTreeSet<ObjectId> = self
            .wanted
            .extract_if(|id, pending_owner| *pending_owner == *release && !ids.contains(id))
            .map(|(id, _)| id)
            .collect();
        let before = self.awaited_before.extract_if(|_, owner| owner == release);
        let before: BTreeSet<String> = before.map(|(object, _)| object).collect();
        for id in ids {
            self.wanted.entry(id.clone()).or_insert_with(|| release.clone());
        }
        let is_dropped =
            |id: &ObjectId| dropped.contains(id) || !ids.contains(id) && before.contains(&id.to_string());
        let mut notified = self.givers(is_dropped);
        notified.remove(release);
        notified
    }

    /// A release waits for these objects, until it says itself what it wants. Returns the releases that
    /// keep objects for it that it does not wait for any more.
    fn await_before(&mut self, release: &ReleaseId, objects: Vec<String>) -> BTreeSet<ReleaseId> {
        let wanted = self.wanted.extract_if(|_, pending_owner| pending_owner == release);
        let mut dropped: BTreeSet<String> = wanted.map(|(id, _)| id.to_string()).collect();
        let before = self.awaited_before.extract_if(|_, owner| owner == release);
        dropped.extend(before.map(|(object, _)| object));
        for object in objects {
            dropped.remove(&object);
            self.awaited_before.insert(object, release.clone());
        }
        if dropped.is_empty() {
            return BTreeSet::new();
        }
        let mut notified = self.givers(|id| dropped.contains(&id.to_string()));
        notified.remove(release);
        notified
    }

    /// The releases that gave up objects, and still have them in their inventories.
    fn givers(&self, which: impl Fn(&ObjectId) -> bool) -> BTreeSet<ReleaseId> {
        let offered = self.offered.iter().filter(|(id, _)| which(id));
        offered.map(|(_, giver)| giver.clone()).collect()
    }

    /// The releases that wait for objects that an inventory claimed before and does not claim any
    /// more.
    fn pending_owners(
        &self,
        before: Option<&Inventory>,
        still: impl Fn(&ObjectId) -> bool,
    ) -> BTreeSet<ReleaseId> {
        let Some(before) = before else { return BTreeSet::new() };
        let freed = self.wanted.iter().filter(|(id, _)| before.claims(id) && !still(id));
        freed.map(|(_, pending_owner)| pending_owner.clone()).collect()
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
            (id, Entry { retained: *left, uid: Some("u".into()), ..Entry::default() })
        });
        Arc::new(Inventory { entries: entries.collect(), ..Inventory::default() })
    }

    #[test]
    fn who_waits_is_notified_once_the_object_is_free() {
        let (first, second) = (release("first"), release("second"));
        let claims = Claims::default();
        let notifies = |pending_owners: BTreeSet<ReleaseId>| !pending_owners.is_empty();
        let both = inventory(&[("x", false), ("y", false)]);
        claims.publish(&first, &both);
        claims.want(&second, both.entries.keys());
        assert!(!notifies(claims.publish(&first, &both)));
        assert!(notifies(claims.publish(&first, &inventory(&[("x", false)]))), "y is gone");
        assert!(notifies(claims.publish(&first, &inventory(&[("x", true)]))), "x was left");
        assert!(!notifies(claims.publish(&first, &inventory(&[]))), "x was free before");
        claims.publish(&first, &both);
        assert_eq!(claims.forget(&first), BTreeSet::from([second.clone()]));
        claims.want(&second, std::iter::empty());
        claims.publish(&first, &both);
        assert!(!notifies(claims.forget(&first)), "nobody waits");
    }

    #[test]
    fn what_a_release_waited_for_in_an_earlier_process_is_kept_until_its_first_run() {
        let (first, second) = (release("first"), release("second"));
        let both = inventory(&[("x", false), ("y", false)]);
        let [x, y] =
            ["x", "y"].map(|id| ObjectId::from_inventory_id(&format!("apps_{id}__ConfigMap")).unwrap());
        let claims = Claims::default();
        claims.publish(&first, &both);
        let named = ["ConfigMap/apps/x", "ConfigMap/apps/y"].map(str::to_owned);
        assert_eq!(claims.wanted_before(&second, named.to_vec()), BTreeSet::new());
        assert_eq!([&x, &y].map(|id| claims.pending_owner(id)), [Some(second.clone()), Some(second.clone())]);
        claims.publish(&first, &inventory(&[("x", true), ("y", true)]));
        // It still wants one of them.
        assert_eq!(claims.want(&second, [&x].into_iter()), BTreeSet::from([first.clone()]));
        assert_eq!([&x, &y].map(|id| claims.pending_owner(id)), [Some(second.clone()), None]);
        claims.wanted_before(&second, named.to_vec());
        assert_eq!(claims.forget(&second), BTreeSet::from([first]));
        assert_eq!(claims.pending_owner(&y), None);
    }

    #[test]
    fn what_a_release_waits_for_is_kept_while_it_moves_to_another_process() {
        let (first, second) = (release("first"), release("second"));
        let both = inventory(&[("x", false), ("y", false)]);
        let [x, y] =
            ["x", "y"].map(|id| ObjectId::from_inventory_id(&format!("apps_{id}__ConfigMap")).unwrap());
        let claims = Claims::default();
        claims.publish(&first, &both);
        claims.want(&second, [&x, &y].into_iter());
        claims.publish(&first, &inventory(&[("x", true), ("y", true)]));
        // It waits for one of them still, so its giver keeps that, and may drop the other.
        let notified = claims.hand_over(&second, vec!["ConfigMap/apps/x".to_owned()]);
        assert_eq!(notified, BTreeSet::from([first.clone()]));
        assert_eq!([&x, &y].map(|id| claims.pending_owner(id)), [Some(second.clone()), None]);
        // The giver moves, too.
        claims.hand_over(&first, Vec::new());
        assert_eq!(claims.names(&first, &x), None);
        assert_eq!(claims.pending_owner(&x), Some(second));
    }

    #[test]
    fn who_keeps_an_object_for_a_pending_owner_is_notified_of_its_new_owner() {
        let (first, second) = (release("first"), release("second"));
        let both = inventory(&[("x", false), ("y", false)]);
        let [x, y] =
            ["x", "y"].map(|id| ObjectId::from_inventory_id(&format!("apps_{id}__ConfigMap")).unwrap());
        let nobody = BTreeSet::new();
        let kept = || {
            let claims = Claims::default();
            claims.publish(&first, &both);
            claims.want(&second, [&x, &y].into_iter());
            let left = inventory(&[("x", true), ("y", false)]);
            assert_eq!(claims.publish(&first, &left), BTreeSet::from([second.clone()]));
            claims
        };
        // It owns the object only after it has applied it.
        let claims = kept();
        assert!(claims.reserve(&second, [&x].into_iter()).is_empty());
        let ahead = Arc::new(Inventory {
            entries: std::iter::once((x.clone(), Entry::default())).collect(),
            ..Inventory::default()
        });
        assert_eq!(claims.publish(&second, &ahead), nobody);
        assert_eq!(claims.want(&second, std::iter::empty()), BTreeSet::from([first.clone()]));
        assert_eq!(claims.pending_owner(&x).as_ref(), Some(&second), "it is about to write it");
        let has = inventory(&[("x", false)]);
        assert_eq!(claims.publish(&second, &has), BTreeSet::from([first.clone()]));
        assert_eq!(claims.publish(&second, &has), nobody);
        // It does not want it any more, or is gone.
        assert_eq!(kept().want(&second, [&y].into_iter()), BTreeSet::from([first.clone()]));
        assert_eq!(kept().want(&second, [&x].into_iter()), nobody);
        assert_eq!(kept().forget(&second), BTreeSet::from([first.clone()]));
        let claims = kept();
        claims.forget(&first);
        assert_eq!(claims.forget(&second), nobody);
    }
}
