//! What is in the cluster with ownership labels of any release: one metadata watch for
//! each kind, identity and scope, shared by all releases that need it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::changes::{There, WatchChange};
use super::watch::{Event, State, run_kind};
use crate::api::keys;
use crate::cluster::error::ApiError;
use crate::cluster::kinds::resource::Resource;
use crate::cluster::session::{Identity, Session};
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::live::{JobRun, Record, WithMetadata};

/// How many Jobs that completed and are gone a watch remembers.
const MAX_COMPLETED: usize = 4096;

/// How many objects a watch over another cluster remembers: a release may name any server.
const MAX_ELSEWHERE: usize = 50_000;

/// How much memory the places in the order take that a watch there remembers, in bytes.
const MAX_PLACES: usize = 8 << 20;

/// The longest names, uids and values of labels of objects there, in bytes.
const MAX_NAME: usize = 253;
const MAX_UID: usize = 128;
const MAX_LABEL: usize = 63;

/// What is watched: a kind as one identity sees it, in one namespace or all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchScope {
    /// The identity that watches.
    pub identity: Identity,
    /// The kind, in a version that was served when the watch began.
    pub resource: Arc<Resource>,
    /// The namespace; `None` is all.
    pub namespace: Option<String>,
}

/// One watch serves all readers of a kind, whatever version each of them uses.
type Key = (Identity, GroupKind, Option<String>);

impl WatchScope {
    fn key(&self) -> Key {
        (self.identity.clone(), self.resource.group_kind(), self.namespace.clone())
    }
}

/// The watches.
#[derive(Clone)]
pub struct Store {
    session: Session,
    watches: Arc<Mutex<HashMap<Key, Weak<Watched>>>>,
    changes: mpsc::UnboundedSender<WatchChange>,
    /// For another cluster.
    there: Option<There>,
}

/// One watch and what it has seen. It ends when the last holder drops it.
pub struct Watched {
    scope: WatchScope,
    seen: Arc<RwLock<RecordTable>>,
    state: watch::Receiver<State>,
    again: Arc<Notify>,
    task: JoinHandle<()>,
}

/// Namespace and name.
type Place = (String, String);

#[derive(Default)]
struct RecordTable {
    records: HashMap<Place, Record>,
    /// Jobs that had completed when they were deleted, with their uids; the latest last.
    completed: VecDeque<(Place, String)>,
    /// The memory of the places in the order, in bytes.
    places: usize,
}

impl RecordTable {
    /// Adds an object, and returns what it was before. Beyond `most` bytes, its place in the order is
    /// not remembered: it is removed as one without.
    fn insert(&mut self, key: &Place, mut record: Record, most: usize) -> Option<Record> {
        let before = self.records.remove(key);
        self.places -= before.as_ref().map_or(0, weight);
        if self.places.saturating_add(weight(&record)) > most {
            record.placement = None;
        }
        self.places += weight(&record);
        self.records.insert(key.clone(), record);
        before
    }

    /// Removes an object; `last` is its last state, where that is known. A Job may be
    /// deleted at the moment it completes: its end is recorded before it disappears.
    fn remove(&mut self, key: &Place, last: Option<&Record>) -> Option<Record> {
        let before = self.records.remove(key);
        self.places -= before.as_ref().map_or(0, weight);
        if let Some(gone) = last.or(before.as_ref()).filter(|r| r.run == JobRun::Completed) {
            self.completed.push_back((key.clone(), gone.uid.clone()));
            if self.completed.len() > MAX_COMPLETED {
                self.completed.pop_front();
            }
        }
        before
    }
}

fn weight(record: &Record) -> usize {
    record.placement.as_ref().map_or(0, |placement| placement.weight())
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    /// What is watched.
    pub fn scope(&self) -> &WatchScope {
        &self.scope
    }

    /// Whether the watch covers an object.
    pub fn covers(&self, id: &ObjectId) -> bool {
        let scope = &self.scope;
        id.kind == scope.resource.kind
            && id.group == scope.resource.group
            && scope.namespace.as_ref().is_none_or(|n| *n == id.namespace)
    }

    /// The record of an object.
    pub fn record(&self, id: &ObjectId) -> Option<Record> {
        let key = (id.namespace.clone(), id.name.clone());
        self.seen.read().unwrap_or_else(PoisonError::into_inner).records.get(&key).cloned()
    }

    /// The uid of the last Job of that name, if it has completed, and whether or not it
    /// still exists.
    pub fn completed(&self, id: &ObjectId) -> Option<String> {
        let key = (id.namespace.clone(), id.name.clone());
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        match seen.records.get(&key) {
            Some(record) => (record.run == JobRun::Completed).then(|| record.uid.clone()),
            None => seen.completed.iter().rev().find(|(k, _)| *k == key).map(|(_, uid)| uid.clone()),
        }
    }

    /// The state of the watch.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Makes a failed watch retry at once.
    pub fn ask_again(&self) {
        self.again.notify_one();
    }

    /// Waits until the watch is synced.
    pub async fn synced(&self) {
        let mut state = self.state.clone();
        if state.wait_for(|s| *s == State::Synced).await.is_err() {
            // The task ended: it will never be synced.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the watch is synced or has failed.
    pub async fn settled(&self) -> State {
        let mut state = self.state.clone();
        match state.wait_for(|s| *s != State::Syncing).await {
            Ok(state) => state.clone(),
            // The task ended: the state is unknown.
            Err(_) => State::NotServed,
        }
    }
}

impl Store {
    /// A store without watches. The receiver gets the changes.
    pub fn new(session: &Session) -> (Self, mpsc::UnboundedReceiver<WatchChange>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let watches = Arc::default();
        (Self { session: session.as_process(), watches, changes, there: None }, receiver)
    }

    /// A store without watches over another cluster, for releases of a namespace. Its changes go to
    /// the receiver of this one; those of other releases do not, whatever the other cluster says.
    #[must_use]
    pub fn over(&self, session: &Session, namespace: &str) -> Self {
        let (changes, watches) = (self.changes.clone(), Arc::default());
        let there = Some(There::new(namespace));
        Self { session: session.as_process(), watches, changes, there }
    }

    /// The watch of a scope, started if there is none. It lasts as long as a holder
    /// exists.
    ///
    /// # Errors
    /// When the identity cannot be impersonated.
    pub fn watch(&self, scope: WatchScope) -> Result<Arc<Watched>, ApiError> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let key = scope.key();
        if let Some(watched) = watches.get(&key).and_then(Weak::upgrade) {
            return Ok(watched);
        }
        let session = self.session.impersonate(scope.identity.clone())?;
        let watched = Arc::new(start(session, scope, self.changes.clone(), self.there.clone()));
        watches.retain(|_, w| w.strong_count() > 0);
        watches.insert(key, Arc::downgrade(&watched));
        Ok(watched)
    }

    /// How many watches there are.
    pub fn len(&self) -> usize {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.values().filter(|w| w.strong_count() > 0).count()
    }

    /// Whether there is no watch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn start(
    session: Session,
    scope: WatchScope,
    changes: mpsc::UnboundedSender<WatchChange>,
    there: Option<There>,
) -> Watched {
    let seen = Arc::<RwLock<RecordTable>>::default();
    let (state, receiver) = watch::channel(State::Syncing);
    // The label's existence, not its value: an object that moves to another release would
    // look deleted.
    let query = format!("labelSelector={}", keys::OWNER_NAME.replace('/', "%2F"));
    let mut observer = Observer {
        mark: session.mark().map(Arc::from),
        resource: Arc::clone(&scope.resource),
        seen: Arc::clone(&seen),
        unseen: BTreeSet::new(),
        held: None,
        changes,
        there,
        state,
    };
    let (resource, namespace) = (Arc::clone(&scope.resource), scope.namespace.clone());
    let again = Arc::new(Notify::new());
    let asked = Arc::clone(&again);
    let task = tokio::spawn(async move {
        let observe = move |event: Event<'_>| observer.observe(event);
        run_kind(session, resource, namespace, query, &asked, observe).await;
    });
    Watched { scope, seen, state: receiver, again, task }
}

struct Observer {
    /// See [`Session::mark`].
    mark: Option<Arc<str>>,
    resource: Arc<Resource>,
    seen: Arc<RwLock<RecordTable>>,
    unseen: BTreeSet<Place>,
    /// What a list has shown: a notified release reads at once, and trusts only a synced
    /// watch.
    held: Option<Vec<WatchChange>>,
    changes: mpsc::UnboundedSender<WatchChange>,
    /// See [`Store`].
    there: Option<There>,
    state: watch::Sender<State>,
}

impl Observer {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Listing => {
                let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
                self.unseen = seen.records.keys().cloned().collect();
                self.held.get_or_insert_default();
            }
            Event::Present(object) => self.present(object),
            Event::Absent(object) => {
                let last = seen_last(object, self.mark.as_deref());
                let last = last.filter(|(key, last)| self.mark.is_none() || is_possible(key, last));
                if let Some((key, last)) = last {
                    self.absent(&key, Some(&last));
                }
            }
            Event::Listed => {
                for key in std::mem::take(&mut self.unseen) {
                    self.absent(&key, None);
                }
                self.state.send_replace(State::Synced);
                for change in self.held.take().into_iter().flatten() {
                    self.send(change);
                }
            }
            Event::Following => drop(self.state.send_replace(State::Synced)),
            Event::Failed(state) => {
                self.state.send_replace(state);
            }
        }
    }

    fn present(&mut self, object: &str) {
        let Ok(object) = serde_json::from_str::<WithMetadata>(object) else {
            // One object that cannot be read must not hide the others.
            tracing::warn!(kind = self.resource.kind, "cannot read an object's metadata");
            return;
        };
        let key = (object.metadata.namespace.clone(), object.metadata.name.clone());
        let record = object.metadata.record(self.mark.as_deref());
        if self.mark.is_some() && !is_possible(&key, &record) {
            return;
        }
        self.unseen.remove(&key);
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if self.mark.is_some() && seen.records.len() >= MAX_ELSEWHERE && !seen.records.contains_key(&key) {
            return;
        }
        let most = if self.mark.is_some() { MAX_PLACES } else { usize::MAX };
        let before = seen.insert(&key, record.clone(), most);
        let is_same = before.as_ref() == seen.records.get(&key);
        drop(seen);
        if is_same {
            return;
        }
        let old = before.and_then(|b| b.owner).filter(|o| Some(o) != record.owner.as_ref());
        self.notify(&key, old.into_iter().chain(record.owner));
    }

    fn absent(&mut self, key: &Place, last: Option<&Record>) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let before = seen.remove(key, last);
        drop(seen);
        self.notify(key, before.and_then(|b| b.owner).into_iter());
    }

    fn notify(&mut self, (namespace, name): &Place, owners: impl Iterator<Item = ReleaseId>) {
        let there = self.there.clone();
        let is_notified = |owner: &ReleaseId| there.as_ref().is_none_or(|there| there.notifies(owner));
        for owner in owners.filter(is_notified) {
            let change = WatchChange::of(owner, self.resource.id(namespace, name));
            match &mut self.held {
                // A release that is not notified finds the change in its next run.
                Some(held) if self.mark.is_some() && held.len() >= MAX_ELSEWHERE => {}
                Some(held) => held.push(change),
                None => self.send(change),
            }
        }
    }

    fn send(&self, change: WatchChange) {
        let change = match &self.there {
            Some(there) => there.pass(change),
            None => Some(change),
        };
        let Some(change) = change else { return };
        // The receiver is gone while the process ends.
        let _ = self.changes.send(change);
    }
}

/// Whether names and labels are as short as those of any API server: others would fill the memory.
fn is_possible((namespace, name): &Place, record: &Record) -> bool {
    let elsewhere = record.elsewhere.as_deref();
    let cluster = elsewhere.and_then(|owner| owner.cluster.as_ref());
    let owner = record.owner.as_ref().or(elsewhere.map(|owner| &owner.release));
    let mut labels = owner.into_iter().flat_map(|owner| [&owner.namespace, &owner.name]).chain(cluster);
    [namespace, name].iter().all(|name| name.len() <= MAX_NAME)
        && record.uid.len() <= MAX_UID
        && labels.all(|label| label.len() <= MAX_LABEL)
}

/// The object, and its last state.
fn seen_last(object: &str, mark: Option<&str>) -> Option<(Place, Record)> {
    let object: WithMetadata = serde_json::from_str(object).ok()?;
    let record = object.metadata.record(mark);
    Some(((object.metadata.namespace, object.metadata.name), record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_a_list_notifies_finds_the_watch_synced() {
        let (changes, mut changed) = mpsc::unbounded_channel();
        let (state, watched) = watch::channel(State::Syncing);
        let resource = Resource {
            group: String::new(),
            version: "v1".into(),
            kind: "ConfigMap".into(),
            plural: "configmaps".into(),
            namespaced: true,
            reports: crate::domain::health::Reports::Unknown,
        };
        let (seen, unseen) = (Arc::default(), BTreeSet::new());
        let (mark, resource, held, there) = (None, Arc::new(resource), None, None);
        let mut observer = Observer { mark, resource, seen, unseen, held, changes, there, state };
        let object = r#"{"metadata": {"namespace": "n", "name": "a", "uid": "u", "resourceVersion": "1",
            "labels": {"supercargo.dev/name": "app", "supercargo.dev/namespace": "n"}}}"#;
        observer.observe(Event::Listing);
        observer.observe(Event::Present(object));
        // A list that breaks off is begun again.
        observer.observe(Event::Failed(State::Syncing));
        observer.observe(Event::Listing);
        observer.observe(Event::Present(object));
        assert!(changed.try_recv().is_err());
        observer.observe(Event::Listed);
        assert_eq!(*watched.borrow(), State::Synced);
        assert_eq!(
            changed.try_recv().expect("it is reported").id.as_ref().map(|id| id.name.as_str()),
            Some("a")
        );
        // Events are reported at once, and another list reports deletions.
        observer.observe(Event::Absent(object));
        assert_eq!(
            changed.try_recv().expect("it is reported").id.as_ref().map(|id| id.name.as_str()),
            Some("a")
        );
        observer.observe(Event::Present(object));
        assert!(changed.try_recv().is_ok());
        observer.observe(Event::Listing);
        observer.observe(Event::Listed);
        assert_eq!(
            changed.try_recv().expect("it is reported").id.as_ref().map(|id| id.name.as_str()),
            Some("a")
        );
        assert!(changed.try_recv().is_err());
    }

    #[test]
    fn the_places_of_objects_take_bounded_memory() {
        let references: Vec<String> =
            (0..256).map(|n| format!("apps/namespaces/n/Deployment/{n:0>200}")).collect();
        let object = |name: &str, references: &str| {
            let object = serde_json::json!({"metadata": {"namespace": "n", "name": name, "uid": "u",
                "annotations": {"config.kubernetes.io/depends-on": references}}});
            seen_last(&object.to_string(), Some("home")).expect("it is an object")
        };
        let mut table = RecordTable::default();
        let (key, large) = object("a", &references.join(","));
        let most = weight(&large) * 3;
        for n in 0..10 {
            table.insert(&("n".to_owned(), format!("a{n}")), large.clone(), most);
            assert!(table.places <= most);
        }
        let placed = |table: &RecordTable| table.records.values().filter(|r| r.placement.is_some()).count();
        assert_eq!((table.records.len(), placed(&table)), (10, 3), "the objects themselves are remembered");
        // The same again takes no more, and what is gone takes none.
        table.insert(&("n".to_owned(), "a0".to_owned()), large.clone(), most);
        assert_eq!(placed(&table), 3);
        for n in 0..10 {
            table.remove(&("n".to_owned(), format!("a{n}")), None);
        }
        assert_eq!(table.places, 0);
        table.insert(&key, large, most);
        assert_eq!(placed(&table), 1);
    }

    #[test]
    fn what_no_api_server_says_is_not_kept() {
        let check = |field: &str, value: &str, expected: bool| {
            let mut object = serde_json::json!({"metadata": {"namespace": "n", "name": "a", "uid": "u",
                "labels": {"supercargo.dev/name": "app", "supercargo.dev/namespace": "n"}}});
            match field.strip_prefix("supercargo.dev/") {
                Some(_) => object["metadata"]["labels"][field] = value.into(),
                None => object["metadata"][field] = value.into(),
            }
            let object = object.to_string();
            for mark in [None, Some("home")] {
                let (place, record) = seen_last(&object, mark).expect("it is an object");
                assert_eq!(is_possible(&place, &record), expected, "{field} {}", value.len());
            }
        };
        let of = |length: usize| "a".repeat(length);
        for (field, most) in [
            ("name", MAX_NAME),
            ("namespace", MAX_NAME),
            ("uid", MAX_UID),
            ("supercargo.dev/name", MAX_LABEL),
            ("supercargo.dev/namespace", MAX_LABEL),
            ("supercargo.dev/cluster", MAX_LABEL),
        ] {
            check(field, &of(most), true);
            check(field, &of(most + 1), false);
        }
    }
}
