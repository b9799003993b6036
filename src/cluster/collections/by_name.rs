//! Single objects that are watched by their name: what they contain, or, of what is too large to be
//! kept, only that it has changed.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::watch::{Event, ListSelection, State, run};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;

/// How long a run waits for the first list of a watch.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// How large an object is that a watch keeps, in bytes of what it contains. Clones are the same.
#[derive(Clone, Debug)]
pub struct Keeps(Arc<AtomicU64>);

impl Default for Keeps {
    /// Whatever it contains.
    fn default() -> Self {
        Self::at_most(u64::MAX)
    }
}

impl Keeps {
    /// Objects of at most so many bytes.
    pub fn at_most(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Changes it; what is kept already stays until the watches [forget](WatchedObject::forget) it.
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn allows<T: ObjectContent>(&self, value: &T) -> bool {
        value.bytes() <= self.0.load(Ordering::Relaxed)
    }
}

/// What is kept of an object.
pub trait ObjectContent: Clone + PartialEq + Hash + Send + Sync + 'static {
    /// How much of it there is, in bytes.
    fn bytes(&self) -> u64;
}

/// How an object is read, and whether it is kept.
pub(in crate::cluster) struct WatchReading<T> {
    pub parse: fn(&str) -> Option<T>,
    pub keeps: Keeps,
}

/// What is known of an object.
#[derive(PartialEq)]
enum Seen<T> {
    /// What it contains; `None` when it does not exist.
    Whole(Option<T>),
    /// It is not kept; which one it is.
    Mark(u64),
}

/// What is known, and how an object is marked.
struct Sight<T> {
    seen: RwLock<Seen<T>>,
    marks: RandomState,
}

impl<T: ObjectContent> Sight<T> {
    /// Whether it is another one than before.
    fn replace(&self, value: Option<T>, keeps: &Keeps) -> bool {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let mark = value.as_ref().map(|value| self.marks.hash_one(value));
        let is_same = match (&*seen, mark) {
            (Seen::Whole(before), _) => *before == value,
            (Seen::Mark(before), mark) => Some(*before) == mark,
        };
        if !is_same {
            *seen = match (mark, value) {
                (Some(mark), Some(value)) if !keeps.allows(&value) => Seen::Mark(mark),
                (_, value) => Seen::Whole(value),
            };
        }
        !is_same
    }

    fn keep(&self, value: &T) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if *seen == Seen::Mark(self.marks.hash_one(value)) {
            *seen = Seen::Whole(Some(value.clone()));
        }
    }

    fn forget(&self) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Seen::Whole(Some(value)) = &*seen {
            let mark = self.marks.hash_one(value);
            *seen = Seen::Mark(mark);
        }
    }
}

impl Session {
    pub(in crate::cluster) fn watch_named<T>(
        &self,
        collection: &str,
        name: &str,
        subscriber: Subscriber,
        reading: WatchReading<T>,
    ) -> WatchedObject<T>
    where
        T: ObjectContent,
    {
        let selection = ListSelection {
            path: collection.to_owned(),
            query: format!("fieldSelector=metadata.name%3D{name}"),
            metadata_only: false,
        };
        let sight = Arc::new(Sight { seen: RwLock::new(Seen::Whole(None)), marks: RandomState::new() });
        let (state, receiver) = watch::channel(State::Syncing);
        let mut observer =
            NamedObserver { sight: Arc::clone(&sight), reading, seen: false, state, subscriber };
        let task = tokio::spawn(run(self.clone(), selection, move |event| observer.observe(event)));
        WatchedObject { sight, state: receiver, task }
    }
}

/// The receiver that is notified of a change.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The release to report.
    pub release: ReleaseId,
    /// The channel.
    pub sender: mpsc::UnboundedSender<ReleaseId>,
}

/// One object that is watched by its name. The watch ends when this is dropped.
pub struct WatchedObject<T> {
    sight: Arc<Sight<T>>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl<T> Drop for WatchedObject<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: ObjectContent> WatchedObject<T> {
    /// Keeps the object that it has only seen so far, if it is the one that is in the cluster.
    pub fn keep(&self, value: &T) {
        self.sight.keep(value);
    }

    /// Keeps only which one the object is, until it is another one that may be kept.
    pub fn forget(&self) {
        self.sight.forget();
    }

    /// The object as it is now: `Ok(None)` when it does not exist.
    ///
    /// # Errors
    /// How the watch is, when it is not synced or does not keep the object: it has to be read on demand.
    pub async fn current(&self) -> Result<Option<T>, State> {
        let mut state = self.state.clone();
        let settled = tokio::time::timeout(SYNC_TIMEOUT, state.wait_for(|s| *s != State::Syncing)).await;
        let settled = match settled {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => State::NotServed,
            Err(_) => State::Syncing,
        };
        match settled {
            State::Synced => match &*self.sight.seen.read().unwrap_or_else(PoisonError::into_inner) {
                Seen::Whole(value) => Ok(value.clone()),
                Seen::Mark(_) => Err(State::Synced),
            },
            other => Err(other),
        }
    }
}

struct NamedObserver<T> {
    sight: Arc<Sight<T>>,
    reading: WatchReading<T>,
    seen: bool,
    state: watch::Sender<State>,
    subscriber: Subscriber,
}

impl<T: ObjectContent> NamedObserver<T> {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Listing => self.seen = false,
            Event::Present(text) => {
                self.seen = true;
                self.replace((self.reading.parse)(text));
            }
            Event::Absent(_) => self.replace(None),
            Event::Listed => {
                if !self.seen {
                    self.replace(None);
                }
                // A run that could not watch it has read it by name, some time before.
                match self.state.send_replace(State::Synced) {
                    State::Denied(_) | State::NotServed => self.notify(),
                    State::Syncing | State::Synced => {}
                }
            }
            Event::Following => {}
            Event::Failed(state) => {
                self.state.send_replace(state);
            }
        }
    }

    fn replace(&self, value: Option<T>) {
        // The first list is no change: the run that asked for it waits.
        if self.sight.replace(value, &self.reading.keeps) && *self.state.borrow() == State::Synced {
            self.notify();
        }
    }

    fn notify(&self) {
        // The receiver is gone while the process ends.
        let _ = self.subscriber.sender.send(self.subscriber.release.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ObjectContent for String {
        fn bytes(&self) -> u64 {
            self.len() as u64
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_its_changes_are_seen() {
        let keeps = Keeps::at_most(4);
        let sight = Sight { seen: RwLock::new(Seen::Whole(None)), marks: RandomState::new() };
        let check = |value: Option<&str>, is_other: bool, is_kept: bool| {
            let value = value.map(str::to_owned);
            assert_eq!(sight.replace(value.clone(), &keeps), is_other, "{value:?}");
            assert_eq!(*sight.seen.read().unwrap() == Seen::Whole(value.clone()), is_kept, "{value:?}");
        };
        check(None, false, true);
        check(Some("a"), true, true);
        check(Some("a"), false, true);
        check(Some("large"), true, false);
        check(Some("large"), false, false);
        check(Some("other"), true, false);
        check(Some("b"), true, true);
        sight.forget();
        check(Some("b"), false, false);
        sight.keep(&"x".to_owned());
        check(Some("b"), false, false);
        sight.keep(&"b".to_owned());
        check(Some("b"), false, true);
        check(Some("c"), true, true);
        keeps.set(0);
        check(Some("c"), false, true);
        check(Some("d"), true, false);
        check(None, true, true);
    }
}
