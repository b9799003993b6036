//! How many releases a namespace may have, and how many objects these together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

/// The most that each namespace may have; any number where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Releases. The oldest ones are reconciled.
    pub releases: Option<usize>,
    /// Objects of all its releases together.
    pub objects: Option<usize>,
}

/// The place of a release among those of its namespace: the older goes first. Releases that were
/// created in the same second are ordered by their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seat {
    created: Timestamp,
    name: String,
}

/// What the objects of a release count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    /// Those in its inventory, as its status says.
    held: usize,
    /// Those of the revision that it is about to apply.
    planned: usize,
}

impl Share {
    fn counts(self) -> usize {
        self.held.max(self.planned)
    }
}

/// The releases of one namespace. Every process that sees the same releases comes to the same
/// answers about their number.
#[derive(Debug, Default)]
pub struct NamespaceUsage {
    seats: BTreeMap<Seat, Share>,
    known: HashMap<String, Timestamp>,
    /// Those that were refused for the number of objects.
    refused: BTreeSet<String>,
}

impl NamespaceUsage {
    /// Whether there are no releases.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// A release is there, with so many objects. Returns the names of those whose answer may be
    /// another one now.
    pub fn present(&mut self, name: &str, created: Timestamp, held: usize, quota: Quota) -> BTreeSet<String> {
        // Recreated under the same name.
        let mut changed = match self.known.get(name) {
            Some(old) if *old != created => self.absent(name, quota),
            _ => BTreeSet::new(),
        };
        let before = self.last_admitted(quota);
        self.known.insert(name.to_owned(), created);
        let share = self.seats.entry(Seat { created, name: name.to_owned() }).or_default();
        let counted = share.counts();
        share.held = held;
        if share.counts() < counted {
            changed.extend(self.refused.iter().cloned());
        }
        let after = self.last_admitted(quota);
        // An older one takes the place of the newest that had one.
        if before != after {
            changed.extend(before.map(|seat| seat.name));
        }
        changed
    }

    /// A release is gone. Returns the names of those whose answer may be another one now.
    pub fn absent(&mut self, name: &str, quota: Quota) -> BTreeSet<String> {
        let Some(created) = self.known.remove(name) else { return BTreeSet::new() };
        let before = self.last_admitted(quota);
        self.seats.remove(&Seat { created, name: name.to_owned() });
        self.refused.remove(name);
        let mut changed = self.refused.clone();
        let after = self.last_admitted(quota);
        if before != after {
            changed.extend(after.map(|seat| seat.name));
        }
        changed
    }

    /// The newest release that has a place; none while all have one.
    fn last_admitted(&self, quota: Quota) -> Option<Seat> {
        let limit = quota.releases.filter(|limit| *limit > 0 && self.seats.len() >= *limit)?;
        self.seats.keys().nth(limit - 1).cloned()
    }

    /// Whether a release is beyond the most that the namespace may have.
    pub fn is_beyond(&self, name: &str, quota: Quota) -> bool {
        let (Some(last), Some(created)) = (self.last_admitted(quota), self.known.get(name)) else {
            return false;
        };
        Seat { created: *created, name: name.to_owned() } > last
    }

    /// A release is about to apply so many objects: how many the others have or are about to have.
    /// They count from now on, so that of two at the same time one sees the other's.
    pub fn plan(&mut self, name: &str, planned: usize, quota: Quota) -> usize {
        let others = self.seats.iter().filter(|(seat, _)| seat.name != name);
        let others = others.map(|(_, share)| share.counts()).sum::<usize>();
        let fits = quota.objects.is_none_or(|limit| others.saturating_add(planned) <= limit);
        let Some(created) = self.known.get(name) else { return others };
        if let Some(share) = self.seats.get_mut(&Seat { created: *created, name: name.to_owned() }) {
            share.planned = if fits { planned } else { 0 };
        }
        match fits {
            true => self.refused.remove(name),
            false => self.refused.insert(name.to_owned()),
        };
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn quota(releases: usize, objects: usize) -> Quota {
        Quota { releases: Some(releases).filter(|n| *n > 0), objects: Some(objects).filter(|n| *n > 0) }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Releases of `name@second:objects`.
    fn usage(releases: &[&str], quota: Quota) -> NamespaceUsage {
        let mut usage = NamespaceUsage::default();
        for release in releases {
            let (name, rest) = release.split_once('@').unwrap();
            let (second, held) = rest.split_once(':').unwrap();
            usage.present(name, at(second.parse().unwrap()), held.parse().unwrap(), quota);
        }
        usage
    }

    #[test]
    fn the_oldest_have_a_place_whatever_the_order_in_which_they_are_seen() {
        let check = |releases: &[&str], limit: usize, beyond: &[&str]| {
            let quota = quota(limit, 0);
            let reversed: Vec<&str> = releases.iter().rev().copied().collect();
            for order in [releases, &reversed] {
                let usage = usage(order, quota);
                let found = usage.known.keys().filter(|name| usage.is_beyond(name, quota)).cloned();
                assert_eq!(found.collect::<BTreeSet<_>>(), names(beyond), "{order:?} {limit}");
            }
        };
        let three = ["c@1:0", "a@2:0", "b@3:0"];
        check(&three, 0, &[]);
        check(&three, 3, &[]);
        check(&three, 2, &["b"]);
        check(&three, 1, &["a", "b"]);
        // Of the same second: by name.
        check(&["b@1:0", "a@1:0", "c@1:0"], 1, &["b", "c"]);
        check(&[], 1, &[]);
    }

    #[test]
    fn who_gets_or_loses_a_place_is_notified() {
        let quota = quota(2, 0);
        let mut all = usage(&["a@1:0", "b@2:0", "c@3:0", "d@4:0"], quota);
        // One that has none leaves.
        assert_eq!(all.absent("d", quota), names(&[]));
        assert_eq!(all.absent("nobody", quota), names(&[]));
        assert_eq!(all.absent("a", quota), names(&["c"]));
        assert!(!all.is_beyond("c", quota));
        // One that is older than those that have one: restored from a backup, for example.
        assert_eq!(all.present("z", at(0), 0, quota), names(&["c"]));
        assert!(all.is_beyond("c", quota) && !all.is_beyond("z", quota));
        // The same again is no change.
        assert_eq!(all.present("z", at(0), 0, quota), names(&[]));
        // Recreated, it is the newest.
        assert_eq!(all.present("z", at(9), 0, quota), names(&["c"]));
        assert!(all.is_beyond("z", quota) && !all.is_beyond("c", quota));
    }

    #[test]
    fn objects_of_all_releases_count_and_those_that_are_planned() {
        let quota = quota(0, 10);
        let mut all = usage(&["a@1:4", "b@2:3", "c@3:0"], quota);
        // Three are left; what it holds itself does not count twice.
        assert_eq!(all.plan("b", 6, quota), 4);
        assert_eq!(all.plan("c", 1, quota), 10);
        assert_eq!(all.refused, names(&["c"]));
        // The other gets smaller, and is seen to have it.
        assert_eq!(all.plan("b", 2, quota), 4);
        assert_eq!(all.present("b", at(2), 2, quota), names(&["c"]));
        assert_eq!(all.plan("c", 4, quota), 6);
        assert_eq!(all.refused, names(&[]));
        // Planned, and not applied yet: another one sees it.
        assert_eq!(all.plan("a", 5, quota), 6);
        assert_eq!(all.refused, names(&["a"]));
        // What was refused is not reserved.
        assert_eq!(all.plan("b", 2, quota), 8);
        assert_eq!(all.absent("c", quota), names(&["a"]));
        assert_eq!(all.plan("a", 8, quota), 2);
        assert!(!all.is_empty());
    }
}
