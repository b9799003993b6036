//! What is in the cluster under anybody's ownership labels: one metadata watch
//! a kind, identity and scope, shared by all releases that need it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::discovery::Resource;
use super::session::{Identity, Session};
use super::watch::{Event, State, run_kind};
use crate::api::keys;
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::live::{Record, WithMetadata};

/// What is watched: a kind as one identity may see it, in one namespace or all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Who watches.
    pub identity: Identity,
    /// The kind, in a version that was served when the watch began.
    pub resource: Arc<Resource>,
    /// The namespace; `None` is all.
    pub namespace: Option<String>,
}

/// One watch serves all that look at a kind, whatever version each knows it by.
type Key = (Identity, GroupKind, Option<String>);

impl Scope {
    fn key(&self) -> Key {
        (self.identity.clone(), self.resource.group_kind(), self.namespace.clone())
    }
}

/// An object of a release has changed, or is gone.
#[derive(Clone, Debug)]
pub struct Change {
    /// The release that its labels name or named.
    pub owner: ReleaseId,
    /// The object.
    pub id: ObjectId,
}

/// The watches.
#[derive(Clone)]
pub struct Store {
    session: Session,
    watches: Arc<Mutex<HashMap<Key, Weak<Watched>>>>,
    changes: mpsc::UnboundedSender<Change>,
}

/// One watch and what it has seen. It ends when the last holder drops it.
pub struct Watched {
    scope: Scope,
    records: Arc<RwLock<HashMap<(String, String), Record>>>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    /// What is watched.
    pub fn scope(&self) -> &Scope {
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
        self.records.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// How the watch is.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until the watch is synced or has failed.
    pub async fn settled(&self) -> State {
        let mut state = self.state.clone();
        match state.wait_for(|s| *s != State::Syncing).await {
            Ok(state) => state.clone(),
            // The task is gone: nothing is known.
            Err(_) => State::NotServed,
        }
    }
}

impl Store {
    /// A store without watches. Changes come out of the receiver.
    pub fn new(session: &Session) -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let watches = Arc::default();
        (Self { session: session.as_process(), watches, changes }, receiver)
    }

    /// The watch of a scope, started if there is none. It lasts as long as
    /// somebody holds it.
    ///
    /// # Errors
    /// When the identity cannot be impersonated.
    pub fn watch(&self, scope: Scope) -> Result<Arc<Watched>, super::error::ApiError> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let key = scope.key();
        if let Some(watched) = watches.get(&key).and_then(Weak::upgrade) {
            return Ok(watched);
        }
        let session = self.session.impersonate(scope.identity.clone())?;
        let watched = Arc::new(start(session, scope, self.changes.clone()));
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

fn start(session: Session, scope: Scope, changes: mpsc::UnboundedSender<Change>) -> Watched {
    let records = Arc::new(RwLock::new(HashMap::new()));
    let (state, receiver) = watch::channel(State::Syncing);
    // The label's existence, not its value: an object that is given to another
    // release would look deleted.
    let query = format!("labelSelector={}", keys::OWNER_NAME.replace('/', "%2F"));
    let mut observer = Observer {
        resource: Arc::clone(&scope.resource),
        records: Arc::clone(&records),
        unseen: BTreeSet::new(),
        changes,
        state,
    };
    let (resource, namespace) = (Arc::clone(&scope.resource), scope.namespace.clone());
    let task =
        tokio::spawn(run_kind(session, resource, namespace, query, move |event| observer.observe(event)));
    Watched { scope, records, state: receiver, task }
}

struct Observer {
    resource: Arc<Resource>,
    records: Arc<RwLock<HashMap<(String, String), Record>>>,
    unseen: BTreeSet<(String, String)>,
    changes: mpsc::UnboundedSender<Change>,
    state: watch::Sender<State>,
}

impl Observer {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Listing => {
                let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
                self.unseen = records.keys().cloned().collect();
            }
            Event::Present(object) => self.present(object),
            Event::Absent(object) => {
                if let Some(key) = key_of(object) {
                    self.absent(&key);
                }
            }
            Event::Listed => {
                for key in std::mem::take(&mut self.unseen) {
                    self.absent(&key);
                }
                self.state.send_replace(State::Synced);
            }
            Event::Failed(state) => {
                self.state.send_replace(state);
            }
        }
    }

    fn present(&mut self, object: &str) {
        let Ok(object) = serde_json::from_str::<WithMetadata>(object) else {
            // One object that cannot be read must not hide the others.
            tracing::warn!(kind = self.resource.kind, "an object's metadata cannot be read");
            return;
        };
        let key = (object.metadata.namespace.clone(), object.metadata.name.clone());
        self.unseen.remove(&key);
        let record = object.metadata.record();
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let before = records.insert(key.clone(), record.clone());
        drop(records);
        if before.as_ref() == Some(&record) {
            return;
        }
        let old = before.and_then(|b| b.owner).filter(|o| Some(o) != record.owner.as_ref());
        self.tell(&key, old.into_iter().chain(record.owner));
    }

    fn absent(&mut self, key: &(String, String)) {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let before = records.remove(key);
        drop(records);
        self.tell(key, before.and_then(|b| b.owner).into_iter());
    }

    fn tell(&self, (namespace, name): &(String, String), owners: impl Iterator<Item = ReleaseId>) {
        for owner in owners {
            // Nobody listens any more while the process ends.
            let _ = self.changes.send(Change { owner, id: self.resource.id(namespace, name) });
        }
    }
}

fn key_of(object: &str) -> Option<(String, String)> {
    let object: WithMetadata = serde_json::from_str(object).ok()?;
    Some((object.metadata.namespace, object.metadata.name))
}
