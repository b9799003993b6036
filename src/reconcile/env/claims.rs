//! Which release owns which object, for all releases of the process.
//!
//! It only avoids conflicts early. The owner of an object is decided by the cluster: labels,
//! inventories, and creations that fail if the object exists.

mod by_release;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock};

use self::by_release::ByRelease;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::Inventory;
use crate::domain::plan::Conflict;

/// The directory, shared by all releases.
#[derive(Debug, Default)]
pub struct Claims {
    inner: RwLock<Inner>,
}

/// What is done for a release looks at its own objects, never at those of all releases: there are many of both.
#[derive(Debug, Default)]
struct Inner {
    named: HashMap<Arc<ReleaseId>, Arc<Inventory>>,
    /// Reserved objects that the inventory of their release does not claim yet.
    reserved: ByRelease<ObjectId>,
    /// Reserved objects that the inventory of their release claims, by their hash: most objects, and that
    /// inventory has their names.
    claimed: HashMap<u64, Arc<ReleaseId>>,
    hashes: RandomState,
    wanted: ByRelease<ObjectId>,
    /// What a release waited for in an earlier process, or waits for in another one, as its status names
    /// it: until its first run here.
    awaited_before: ByRelease<String>,
    /// What a release leaves to another, until that one has applied it.
    offered: ByRelease<ObjectId>,
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
            let before = i.publish(release, inventory);
            i.offered.take_all(release);
            for (id, _) in inventory.entries.iter().filter(|(_, entry)| entry.retained) {
                i.offered.give(release, id.clone());
            }
            let mut notified = i.pending_owners(before.as_deref(), |id| inventory.claims(id));
            let had = |id: &ObjectId| before.as_deref().is_some_and(|before| has(before, id));
            let has = inventory.entries.keys().filter(|id| has(inventory, id));
            notified.extend(i.givers_of(has.filter(|id| !had(id))));
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
            i.reserved.take_all(release);
            i.offered.take_all(release);
            let mut notified = i.await_before(release, awaited);
            let before = i.named.remove(release);
            for id in before.iter().flat_map(|before| before.claimed()) {
                i.give_up(release, id);
            }
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
                let owner = i.reserved(id).filter(|owner| *owner != release)?;
                Some(Conflict { id: id.clone(), owner: owner.clone(), elsewhere: None })
            });
            let taken: Vec<Conflict> = others.collect();
            if taken.is_empty() {
                for id in ids {
                    if i.reserved(id).is_none() {
                        i.reserved.add(release, id.clone());
                    }
                }
            }
            taken
        })
    }

    /// The release that has reserved an object.
    pub fn reserved(&self, id: &ObjectId) -> Option<ReleaseId> {
        self.read(|i| i.reserved(id).cloned())
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
            let known = i.wanted.owner(id).or_else(|| i.reserved(id));
            let before = || Some(&i.awaited_before).filter(|b| !b.is_empty())?.owner(id.to_string().as_str());
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
    /// The new inventory of a release; returns the one before.
    fn publish(&mut self, release: &ReleaseId, inventory: &Arc<Inventory>) -> Option<Arc<Inventory>> {
        let name = match self.named.get_key_value(release) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::new(release.clone()),
        };
        let before = self.named.insert(Arc::clone(&name), Arc::clone(inventory));
        for id in before.iter().flat_map(|before| before.claimed()).filter(|id| !inventory.claims(id)) {
            self.give_up(release, id);
        }
        for id in self.reserved.take_all(release).iter().filter(|id| inventory.claims(id)) {
            self.claimed.entry(self.hashes.hash_one(id)).or_insert_with(|| Arc::clone(&name));
        }
        before
    }

    /// The inventory of a release does not claim an object any more.
    fn give_up(&mut self, release: &ReleaseId, id: &ObjectId) {
        let hash = self.hashes.hash_one(id);
        if self.claimed.get(&hash).is_some_and(|owner| **owner == *release) {
            self.claimed.remove(&hash);
        }
    }

    /// The release that has reserved an object.
    fn reserved(&self, id: &ObjectId) -> Option<&ReleaseId> {
        let claimed = || {
            let owner = self.claimed.get(&self.hashes.hash_one(id))?;
            self.named.get(owner).is_some_and(|inventory| inventory.claims(id)).then_some(&**owner)
        };
        self.reserved.owner(id).or_else(claimed)
    }

    /// See [`Claims::want`].
    fn want(&mut self, release: &ReleaseId, ids: &BTreeSet<ObjectId>) -> BTreeSet<ReleaseId> {
        let dropped = self.wanted.take_unless(release, |id| ids.contains(id));
        let before = self.awaited_before.take_all(release);
        for id in ids {
            self.wanted.add(release, id.clone());
        }
        let mut notified = self.givers_of(dropped.iter());
        notified.extend(self.givers_by_name(&before, |id| !ids.contains(id)));
        notified.remove(release);
        notified
    }

    /// A release waits for these objects, until it says itself what it wants. Returns the releases that
    /// keep objects for it that it does not wait for any more.
    fn await_before(&mut self, release: &ReleaseId, objects: Vec<String>) -> BTreeSet<ReleaseId> {
        let wanted = self.wanted.take_all(release);
        let mut dropped: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
        dropped.extend(self.awaited_before.take_all(release));
        for object in objects {
            dropped.remove(&object);
            self.awaited_before.give(release, object);
        }
        let mut notified = self.givers_by_name(&dropped, |_| true);
        notified.remove(release);
        notified
    }

    /// The releases that gave up these objects, and still have them in their inventories.
    fn givers_of<'a>(&self, ids: impl Iterator<Item = &'a ObjectId>) -> BTreeSet<ReleaseId> {
        match self.offered.is_empty() {
            true => BTreeSet::new(),
            false => ids.filter_map(|id| self.offered.owner(id)).cloned().collect(),
        }
    }

    /// The same for objects as a status names them: a name may be that of several.
    fn givers_by_name(
        &self,
        names: &BTreeSet<String>,
        which: impl Fn(&ObjectId) -> bool,
    ) -> BTreeSet<ReleaseId> {
        if names.is_empty() {
            return BTreeSet::new();
        }
        let offered = self.offered.all().filter(|(id, _)| which(id) && names.contains(&id.to_string()));
        offered.map(|(_, giver)| giver.clone()).collect()
    }

    /// The releases that wait for objects that an inventory claimed before and does not claim any
    /// more.
    fn pending_owners(
        &self,
        before: Option<&Inventory>,
        still: impl Fn(&ObjectId) -> bool,
    ) -> BTreeSet<ReleaseId> {
        let Some(before) = before.filter(|_| !self.wanted.is_empty()) else { return BTreeSet::new() };
        let freed = before.claimed().filter(|id| !still(id));
        freed.filter_map(|id| self.wanted.owner(id)).cloned().collect()
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
    fn an_object_is_reserved_from_before_its_first_write_until_it_leaves_the_inventory() {
        let (first, second) = (release("first"), release("second"));
        let [x, y] =
            ["x", "y"].map(|id| ObjectId::from_inventory_id(&format!("apps_{id}__ConfigMap")).unwrap());
        let claims = Claims::default();
        let reserved = |claims: &Claims| [&x, &y].map(|id| claims.reserved(id));
        let (mine, nobody) = (Some(first.clone()), None::<ReleaseId>);
        // What an inventory claims is not reserved by that alone: its owner may not be about to write it.
        claims.publish(&first, &inventory(&[("x", false), ("y", false)]));
        assert_eq!(reserved(&claims), [nobody.clone(), nobody.clone()]);
        assert!(claims.reserve(&first, [&x, &y].into_iter()).is_empty());
        assert_eq!(reserved(&claims), [mine.clone(), mine.clone()]);
        for _ in 0..2 {
            claims.publish(&first, &inventory(&[("x", false), ("y", false)]));
            assert_eq!(reserved(&claims), [mine.clone(), mine.clone()]);
            assert!(claims.reserve(&first, [&x].into_iter()).is_empty(), "again");
            let taken = claims.reserve(&second, [&x, &y].into_iter());
            assert_eq!(taken.iter().map(|taken| &taken.id).collect::<Vec<_>>(), [&x, &y]);
        }
        claims.publish(&first, &inventory(&[("x", true), ("y", false)]));
        assert_eq!(reserved(&claims), [nobody.clone(), mine.clone()]);
        assert!(claims.reserve(&second, [&x].into_iter()).is_empty());
        assert_eq!(reserved(&claims), [Some(second.clone()), mine]);
        claims.forget(&first);
        assert_eq!(reserved(&claims), [Some(second.clone()), nobody.clone()]);
        // It was never written.
        claims.publish(&second, &inventory(&[]));
        assert_eq!(reserved(&claims), [nobody.clone(), nobody]);
        claims.read(|inner| assert!(inner.claimed.is_empty() && inner.reserved.is_empty()));
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
