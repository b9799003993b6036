//! Single objects of any kind, each watched by its name as one identity. All releases that need
//! the same object as the same identity share one watch, which ends with its last holder.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::watch::{Event, ListSelection, State, run};
use crate::cluster::error::ApiError;
use crate::cluster::kinds::resource::{Resource, escape};
use crate::cluster::session::{Identity, Session};
use crate::domain::health::Reports;
use crate::domain::identity::{ObjectId, api_version};

/// How long a run waits for the first list of a watch.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// An object in a version of its API, as one identity sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    /// The identity that watches.
    pub identity: Identity,
    /// The object.
    pub id: ObjectId,
    /// The version of its API.
    pub version: String,
}

impl ObjectKey {
    fn api_version(&self) -> String {
        api_version(&self.id.group, &self.version)
    }
}

/// The watches over single objects.
#[derive(Clone)]
pub struct NamedObjects {
    session: Session,
    watches: Arc<Mutex<HashMap<ObjectKey, Weak<ObjectWatch>>>>,
    changes: mpsc::UnboundedSender<ObjectKey>,
}

/// One watched object.
pub struct ObjectWatch {
    key: ObjectKey,
    /// Whether objects of its kind have a status.
    pub reports: Reports,
    value: Arc<RwLock<Option<Arc<Value>>>>,
    state: watch::Sender<State>,
    again: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for ObjectWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ObjectWatch {
    /// What is watched.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The object as last seen; `None` when it does not exist.
    pub fn value(&self) -> Option<Arc<Value>> {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the object is watched now. Otherwise, what was last seen may be out of date.
    pub fn is_synced(&self) -> bool {
        *self.state.borrow() == State::Synced
    }

    /// Tries again at once where the kind was not served.
    fn look_again(&self) {
        let was_not_served = self.state.send_if_modified(|state| {
            let was_not_served = *state == State::NotServed;
            if was_not_served {
                *state = State::Syncing;
            }
            was_not_served
        });
        if was_not_served {
            self.again.notify_one();
        }
    }

    /// Waits until the first list is complete, or fails.
    pub async fn settled(&self) -> State {
        let mut state = self.state.subscribe();
        let settled = tokio::time::timeout(SYNC_TIMEOUT, state.wait_for(|s| *s != State::Syncing)).await;
        match settled {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => State::NotServed,
            Err(_) => State::Syncing,
        }
    }
}

impl NamedObjects {
    /// Without watches. The receiver gets the objects that have changed.
    pub fn new(session: &Session) -> (Self, mpsc::UnboundedReceiver<ObjectKey>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        (Self { session: session.as_process(), watches: Arc::default(), changes }, receiver)
    }

    /// The watch over an object of a kind, started if there is none.
    ///
    /// # Errors
    /// When the identity cannot be impersonated.
    pub fn watch(
        &self,
        identity: &Identity,
        resource: &Resource,
        id: &ObjectId,
    ) -> Result<Arc<ObjectWatch>, ApiError> {
        let key = ObjectKey { identity: identity.clone(), id: id.clone(), version: resource.version.clone() };
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = watches.get(&key).and_then(Weak::upgrade) {
            watched.look_again();
            return Ok(watched);
        }
        let session = self.session.impersonate(identity.clone())?;
        let watched = Arc::new(start(session, key.clone(), resource, self.changes.clone()));
        watches.retain(|_, watched| watched.strong_count() > 0);
        watches.insert(key, Arc::downgrade(&watched));
        Ok(watched)
    }
}

fn start(
    session: Session,
    key: ObjectKey,
    resource: &Resource,
    changes: mpsc::UnboundedSender<ObjectKey>,
) -> ObjectWatch {
    let namespace = resource.namespaced.then_some(key.id.namespace.as_str());
    let selection = ListSelection {
        path: resource.collection(namespace),
        query: format!("fieldSelector=metadata.name%3D{}", escape(&key.id.name)),
        metadata_only: false,
    };
    let value = Arc::<RwLock<Option<Arc<Value>>>>::default();
    let (state, again) = (watch::channel(State::Syncing).0, Arc::new(Notify::new()));
    let mut observer = SingleObserver {
        key: key.clone(),
        value: Arc::clone(&value),
        seen: false,
        state: state.clone(),
        changes,
    };
    let asked = Arc::clone(&again);
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = run(session.clone(), selection.clone(), |event| observer.observe(event)) => {}
                () = asked.notified() => {}
            }
        }
    });
    ObjectWatch { key, reports: resource.reports, value, state, again, task }
}

struct SingleObserver {
    key: ObjectKey,
    value: Arc<RwLock<Option<Arc<Value>>>>,
    seen: bool,
    state: watch::Sender<State>,
    changes: mpsc::UnboundedSender<ObjectKey>,
}

impl SingleObserver {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Listing => self.seen = false,
            Event::Present(text) => {
                self.seen = true;
                // What cannot be read does not make it disappear.
                let Ok(mut object) = serde_json::from_str::<Value>(text) else { return };
                if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("managedFields");
                }
                // The objects of a list do not name their kind.
                if object.get("kind").is_none() {
                    object["apiVersion"] = self.key.api_version().into();
                    object["kind"] = self.key.id.kind.as_str().into();
                }
                self.replace(Some(object));
            }
            Event::Absent(_) => self.replace(None),
            Event::Listed => {
                if !self.seen {
                    self.replace(None);
                }
                // Those that did not wait for it have only read the object.
                if self.state.send_replace(State::Synced) != State::Synced {
                    self.notify();
                }
            }
            Event::Following => {}
            Event::Failed(state) => {
                if state == State::NotServed {
                    self.replace(None);
                }
                // What was seen may be out of date from now on.
                if self.state.send_replace(state) == State::Synced {
                    self.notify();
                }
            }
        }
    }

    fn replace(&self, object: Option<Value>) {
        let mut current = self.value.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() == object.as_ref() {
            return;
        }
        *current = object.map(Arc::new);
        drop(current);
        // The first list is no change: the run that asked for it waits.
        if *self.state.borrow() == State::Synced {
            self.notify();
        }
    }

    fn notify(&self) {
        // The receiver is gone while the process ends.
        let _ = self.changes.send(self.key.clone());
    }
}
