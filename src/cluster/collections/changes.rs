//! What watches report of changed objects, and how much of it from another cluster waits: its server
//! may say more than anybody reads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::identity::{ObjectId, ReleaseId};

/// How many changes there wait to be passed on, for all watches of a cluster.
const MAX_WAITING: usize = 10_000;

/// An object of a release was changed or deleted.
#[derive(Debug)]
pub struct WatchChange {
    /// The release that its labels name or named.
    pub owner: ReleaseId,
    /// The object; absent: there were more changes than are passed on one by one.
    pub id: Option<ObjectId>,
    /// In the line of the changes of another cluster.
    line: Option<Arc<Line>>,
}

impl WatchChange {
    /// The change of one object.
    pub fn of(owner: ReleaseId, id: ObjectId) -> Self {
        Self { owner, id: Some(id), line: None }
    }
}

impl Drop for WatchChange {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.waiting().remove(&(self.owner.clone(), self.id.take()));
        }
    }
}

/// A change, for the line: the release, and the object.
type Key = (ReleaseId, Option<ObjectId>);

/// The changes of another cluster that wait to be passed on, each once.
#[derive(Debug, Default)]
struct Line(Mutex<HashSet<Key>>);

impl Line {
    fn waiting(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The change in the line; `None` if it is there already. When the line is long, it is one of the
    /// whole release.
    fn join(self: &Arc<Self>, mut change: WatchChange) -> Option<WatchChange> {
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            change.id = None;
        }
        let is_new = waiting.insert((change.owner.clone(), change.id.clone()));
        drop(waiting);
        is_new.then(|| {
            change.line = Some(Arc::clone(self));
            change
        })
    }
}

/// What is different about the watches over another cluster.
#[derive(Clone)]
pub struct There {
    /// The namespace of the releases that are notified.
    namespace: Arc<str>,
    line: Arc<Line>,
}

impl There {
    /// For releases of a namespace.
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into(), line: Arc::default() }
    }

    /// Whether a release is notified.
    pub fn notifies(&self, release: &ReleaseId) -> bool {
        release.namespace == *self.namespace
    }

    /// The change that is passed on; `None` if it waits already.
    pub fn pass(&self, change: WatchChange) -> Option<WatchChange> {
        self.line.join(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_changes_becomes_one_of_the_whole_release() {
        let there = There::new("apps");
        let owner = ReleaseId { namespace: "apps".into(), name: "shop".into() };
        let id = |n: usize| ObjectId::from_inventory_id(&format!("apps_a{n}__ConfigMap")).unwrap();
        let mut passed = Vec::new();
        passed.extend(there.pass(WatchChange::of(owner.clone(), id(0))));
        assert!(there.pass(WatchChange::of(owner.clone(), id(0))).is_none(), "it waits already");
        for n in 1..MAX_WAITING * 3 {
            passed.extend(there.pass(WatchChange::of(owner.clone(), id(n))));
        }
        assert_eq!(passed.len(), MAX_WAITING + 1);
        assert_eq!(passed.iter().filter(|change| change.id.is_none()).count(), 1);
        // Once they are taken, changes are reported one by one again.
        drop(passed);
        let next = there.pass(WatchChange::of(owner, id(0)));
        assert_eq!(next.and_then(|change| change.id.clone()), Some(id(0)));
        assert!(there.line.waiting().is_empty());
    }
}
