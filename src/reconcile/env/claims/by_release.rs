//! Keys that belong to one release each, found by the key and by the release: nothing that is done for one release
//! looks at the keys of all others.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::domain::identity::ReleaseId;

/// The keys.
#[derive(Debug)]
pub struct ByRelease<K> {
    owners: HashMap<K, ReleaseId>,
    keys: HashMap<ReleaseId, BTreeSet<K>>,
}

impl<K> Default for ByRelease<K> {
    fn default() -> Self {
        Self { owners: HashMap::new(), keys: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> ByRelease<K> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// The release that a key belongs to.
    pub fn owner<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&ReleaseId>
    where
        K: Borrow<Q>,
    {
        self.owners.get(key)
    }

    /// All keys, and the releases that they belong to.
    pub fn all(&self) -> impl Iterator<Item = (&K, &ReleaseId)> {
        self.owners.iter()
    }

    /// Gives a key to a release, unless it belongs to another one.
    pub fn add(&mut self, release: &ReleaseId, key: K) {
        if !self.owners.contains_key(&key) {
            self.owners.insert(key.clone(), release.clone());
            self.keys.entry(release.clone()).or_default().insert(key);
        }
    }

    /// Gives a key to a release, also if it belongs to another one.
    pub fn give(&mut self, release: &ReleaseId, key: K) {
        if let Some(before) = self.owners.get(&key).filter(|before| *before != release).cloned() {
            self.take(&before, &key);
        }
        self.add(release, key);
    }

    /// Takes all keys of a release but those that `stays` names, and returns them.
    pub fn take_unless(&mut self, release: &ReleaseId, stays: impl Fn(&K) -> bool) -> BTreeSet<K> {
        let Some(all) = self.keys.remove(release) else { return BTreeSet::new() };
        let (staying, taken): (BTreeSet<K>, BTreeSet<K>) = all.into_iter().partition(stays);
        for key in &taken {
            self.owners.remove(key);
        }
        if !staying.is_empty() {
            self.keys.insert(release.clone(), staying);
        }
        taken
    }

    /// Takes all keys of a release, and returns them.
    pub fn take_all(&mut self, release: &ReleaseId) -> BTreeSet<K> {
        self.take_unless(release, |_| false)
    }

    fn take(&mut self, release: &ReleaseId, key: &K) {
        self.owners.remove(key);
        if let Some(keys) = self.keys.get_mut(release) {
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(name: &str) -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: name.into() }
    }

    #[test]
    fn a_key_belongs_to_one_release_and_is_found_both_ways() {
        let (first, second) = (release("first"), release("second"));
        let mut index = ByRelease::default();
        let check = |index: &ByRelease<u8>, of_first: &[u8], of_second: &[u8]| {
            for (release, keys) in [(&first, of_first), (&second, of_second)] {
                let found: BTreeSet<u8> = index.keys.get(release).cloned().unwrap_or_default();
                assert_eq!(found.into_iter().collect::<Vec<_>>(), keys);
                assert!(keys.iter().all(|key| index.owner(key) == Some(release)));
            }
            assert_eq!(index.all().count(), of_first.len() + of_second.len());
            assert!(index.keys.values().all(|keys| !keys.is_empty()), "nothing is left behind");
        };
        (1..4).for_each(|key| index.add(&first, key));
        check(&index, &[1, 2, 3], &[]);
        index.add(&second, 2);
        check(&index, &[1, 2, 3], &[]);
        index.give(&second, 2);
        check(&index, &[1, 3], &[2]);
        index.give(&second, 2);
        check(&index, &[1, 3], &[2]);
        assert_eq!(index.take_unless(&first, |key| *key == 3), BTreeSet::from([1]));
        check(&index, &[3], &[2]);
        index.give(&second, 3);
        check(&index, &[], &[2, 3]);
        assert_eq!(index.take_all(&second), BTreeSet::from([2, 3]));
        check(&index, &[], &[]);
        assert!(index.is_empty());
    }
}
