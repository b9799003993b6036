//! All releases that are shown, in memory, as one watch reports them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::row::Row;
use crate::cluster::browse::WatchEvent;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::shown::fields::id;

/// Whether the rows are what the cluster has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The first list is not complete yet.
    #[default]
    Reading,
    /// Every change is followed.
    Following,
    /// There is no news since then; the rows are those from before.
    Away(Timestamp),
    /// The watch has failed; the rows are those from before.
    Failed(String),
}

impl Sync {
    /// The same without the words of the API server.
    pub fn without_words(self) -> Self {
        match self {
            Self::Failed(_) => {
                Self::Failed("the operator cannot follow all releases; its log has the cause".to_owned())
            }
            other => other,
        }
    }

    /// The worse of two: what a page with both has to say.
    fn worse(self, other: &Self) -> Self {
        match (&self, other) {
            (Self::Failed(_), _) => self,
            (_, Self::Failed(_)) => other.clone(),
            (Self::Away(one), Self::Away(two)) => Self::Away(*one.min(two)),
            (Self::Away(_), _) => self,
            (_, Self::Away(_)) => other.clone(),
            (Self::Reading, _) | (_, Self::Reading) => Self::Reading,
            (Self::Following, Self::Following) => self,
        }
    }
}

/// What of all releases is not among the rows of a person, because of their rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Whether the person may not list the releases of all namespaces.
    pub is_partial: bool,
    /// Namespaces of which it is not known yet.
    pub unchecked: usize,
    /// Namespaces of which it is never asked, because there are too many.
    pub beyond: usize,
    /// Whether the API server does not say it now.
    pub is_stuck: bool,
}

/// The rows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// In the order of their names.
    pub rows: Arc<BTreeMap<ReleaseId, Arc<Row>>>,
    /// Whether they are current.
    pub sync: Sync,
    /// What is not among them.
    pub coverage: Coverage,
}

/// One watch: of a namespace, or of all.
#[derive(Debug, Default)]
struct Watched {
    namespace: Option<String>,
    /// The releases of the list that is being read.
    listed: Option<BTreeSet<ReleaseId>>,
    sync: Sync,
}

impl Watched {
    fn of(namespace: Option<String>) -> Self {
        Self { namespace, ..Self::default() }
    }

    fn has(&self, id: &ReleaseId) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == id.namespace)
    }
}

/// What a watch has reported.
#[derive(Debug, Default)]
struct State {
    rows: Arc<BTreeMap<ReleaseId, Arc<Row>>>,
    /// The namespaces of the rows.
    namespaces: Arc<BTreeSet<Arc<str>>>,
    watched: Vec<Watched>,
}

impl State {
    fn sync(&self) -> Sync {
        let all = self.watched.iter().map(|watched| watched.sync.clone());
        all.reduce(|one, other| one.worse(&other)).unwrap_or_default()
    }

    /// Whether anything that is shown has changed.
    fn apply(&mut self, from: usize, event: WatchEvent, now: Timestamp) -> bool {
        let Some(watched) = self.watched.get_mut(from) else { return false };
        let before = watched.sync.clone();
        let is_other = match event {
            WatchEvent::Listing => {
                watched.listed = Some(BTreeSet::new());
                false
            }
            WatchEvent::Present(release) => return self.present(from, &release),
            WatchEvent::Absent(release) => {
                let id = id(&release);
                let was = self.rows.contains_key(&id) && Arc::make_mut(&mut self.rows).remove(&id).is_some();
                if was && !has_any(&self.rows, &id.namespace) {
                    Arc::make_mut(&mut self.namespaces).remove(id.namespace.as_str());
                }
                was
            }
            WatchEvent::Listed => {
                let count = self.rows.len();
                if let Some(listed) = watched.listed.take() {
                    Arc::make_mut(&mut self.rows).retain(|id, _| !watched.has(id) || listed.contains(id));
                }
                watched.sync = Sync::Following;
                let is_other = count != self.rows.len();
                if is_other {
                    let rows = &self.rows;
                    let left = self.namespaces.iter().filter(|namespace| has_any(rows, namespace)).cloned();
                    self.namespaces = Arc::new(left.collect());
                }
                is_other
            }
            WatchEvent::Resumed => {
                watched.sync = Sync::Following;
                false
            }
            WatchEvent::Interrupted => {
                // Before the first list there is nothing that could be out of date.
                if watched.sync == Sync::Following {
                    watched.sync = Sync::Away(now);
                }
                false
            }
            WatchEvent::Failed(why) => {
                watched.sync = Sync::Failed(why);
                false
            }
        };
        is_other || self.watched.get(from).is_some_and(|watched| watched.sync != before)
    }

    fn present(&mut self, from: usize, release: &Value) -> bool {
        let row = Row::of(release);
        if let Some(listed) = self.watched.get_mut(from).and_then(|watched| watched.listed.as_mut()) {
            listed.insert(row.id.clone());
        }
        if self.rows.get(&row.id).is_some_and(|known| **known == row) {
            return false;
        }
        if !self.namespaces.contains(row.id.namespace.as_str()) {
            Arc::make_mut(&mut self.namespaces).insert(row.id.namespace.as_str().into());
        }
        Arc::make_mut(&mut self.rows).insert(row.id.clone(), Arc::new(row));
        true
    }
}

/// Whether a namespace has any release.
fn has_any(rows: &BTreeMap<ReleaseId, Arc<Row>>, namespace: &str) -> bool {
    let first = ReleaseId { namespace: namespace.to_owned(), name: String::new() };
    rows.range(first..).next().is_some_and(|(id, _)| id.namespace == namespace)
}

/// The rows, and a signal when they change.
#[derive(Debug)]
pub struct ReleaseIndex {
    state: RwLock<State>,
    changed: watch::Sender<u64>,
}

impl ReleaseIndex {
    /// Of these namespaces, or of all without any. It is empty until [`ReleaseIndex::follow`].
    pub fn new(namespaces: &[String]) -> Self {
        let mut watched: Vec<Watched> = namespaces.iter().cloned().map(Some).map(Watched::of).collect();
        if watched.is_empty() {
            watched.push(Watched::default());
        }
        let state = State { watched, ..State::default() };
        Self { state: RwLock::new(state), changed: watch::Sender::new(0) }
    }

    /// The rows now.
    pub fn rows(&self) -> Rows {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Rows { rows: Arc::clone(&state.rows), sync: state.sync(), coverage: Coverage::default() }
    }

    /// The namespaces that have releases.
    pub fn namespaces(&self) -> Arc<BTreeSet<Arc<str>>> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).namespaces)
    }

    /// A signal of changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Applies what one of the watches reports.
    fn apply(&self, from: usize, events: impl IntoIterator<Item = WatchEvent>, now: Timestamp) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let changed =
            events.into_iter().fold(false, |changed, event| state.apply(from, event, now) | changed);
        drop(state);
        if changed {
            self.changed.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    /// Follows the releases with these labels until the future is dropped.
    pub async fn follow(&self, session: &Session, selector: Option<&str>) {
        let namespaces: Vec<Option<String>> = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.watched.iter().map(|watched| watched.namespace.clone()).collect()
        };
        let all = namespaces.into_iter().enumerate();
        join_all(all.map(|(from, namespace)| self.follow_one(from, session, namespace, selector))).await;
    }

    async fn follow_one(
        &self,
        from: usize,
        session: &Session,
        namespace: Option<String>,
        selector: Option<&str>,
    ) {
        /// The most events that are applied at once.
        const BATCH: usize = 500;
        let (sender, mut reported) = mpsc::unbounded_channel();
        let watching = session.clone().follow_releases(namespace, selector.map(str::to_owned), sender);
        let applying = async {
            let mut events = Vec::new();
            while reported.recv_many(&mut events, BATCH).await > 0 {
                self.apply(from, events.drain(..), Timestamp::now());
            }
        };
        tokio::join!(watching, applying);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release(name: &str, ready: &str) -> Value {
        json!({"metadata": {"namespace": "apps", "name": name}, "spec": {"url": "oci://r/a"},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    #[test]
    fn the_rows_follow_the_watch_and_say_when_they_change() {
        let index = ReleaseIndex::new(&[]);
        let mut changes = index.changes();
        let mut check = |events: Vec<WatchEvent>, changed: bool, names: &[&str], sync: Sync| {
            index.apply(0, events, Timestamp::UNIX_EPOCH);
            assert_eq!(changes.has_changed().ok(), Some(changed), "{names:?}");
            changes.mark_unchanged();
            let rows = index.rows();
            assert_eq!(rows.rows.keys().map(|id| id.name.as_str()).collect::<Vec<_>>(), names);
            assert_eq!(rows.sync, sync);
        };
        let present = |name: &str, ready: &str| WatchEvent::Present(release(name, ready));
        check(vec![WatchEvent::Listing, present("a", "True")], true, &["a"], Sync::Reading);
        check(vec![present("b", "True"), WatchEvent::Listed], true, &["a", "b"], Sync::Following);
        check(vec![present("b", "True")], false, &["a", "b"], Sync::Following);
        check(vec![present("b", "False")], true, &["a", "b"], Sync::Following);
        check(vec![WatchEvent::Failed("no".into())], true, &["a", "b"], Sync::Failed("no".into()));
        check(vec![WatchEvent::Failed("no".into())], false, &["a", "b"], Sync::Failed("no".into()));
        // An interruption is said with its time, and ends with the next news or the next list.
        check(vec![WatchEvent::Resumed], true, &["a", "b"], Sync::Following);
        let away = Sync::Away(Timestamp::UNIX_EPOCH);
        check(vec![WatchEvent::Interrupted], true, &["a", "b"], away.clone());
        check(vec![WatchEvent::Interrupted, WatchEvent::Listing], false, &["a", "b"], away);
        // A release that a later list does not have is gone.
        check(
            vec![WatchEvent::Listing, present("b", "False"), WatchEvent::Listed],
            true,
            &["b"],
            Sync::Following,
        );
        check(vec![WatchEvent::Absent(release("c", "True"))], false, &["b"], Sync::Following);
        check(vec![WatchEvent::Absent(release("b", "True"))], true, &[], Sync::Following);
    }

    #[test]
    fn the_namespaces_are_those_that_have_releases() {
        let index = ReleaseIndex::new(&[]);
        let release = |namespace: &str, name: &str| json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"url": "oci://r/a"}});
        let check = |events: Vec<WatchEvent>, expected: &[&str]| {
            index.apply(0, events, Timestamp::UNIX_EPOCH);
            let found = index.namespaces();
            assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), expected);
        };
        let present = |namespace, name| WatchEvent::Present(release(namespace, name));
        let absent = |namespace, name| WatchEvent::Absent(release(namespace, name));
        check(vec![present("b", "1"), present("a", "1"), present("a", "2")], &["a", "b"]);
        check(vec![absent("a", "1")], &["a", "b"]);
        check(vec![absent("a", "2"), absent("c", "1")], &["b"]);
        check(vec![WatchEvent::Listing, present("ab", "1"), WatchEvent::Listed], &["ab"]);
    }

    #[test]
    fn namespaces_are_followed_apart_and_the_worst_state_is_said() {
        let index = ReleaseIndex::new(&["apps".to_owned(), "other".to_owned()]);
        let check = |from: usize, events: Vec<WatchEvent>, names: usize, sync: Sync| {
            index.apply(from, events, Timestamp::UNIX_EPOCH);
            let rows = index.rows();
            assert_eq!((rows.rows.len(), rows.sync), (names, sync));
        };
        let present = |name: &str| WatchEvent::Present(release(name, "True"));
        check(0, vec![WatchEvent::Listing, present("a"), WatchEvent::Listed], 1, Sync::Reading);
        // The list of another namespace takes nothing away.
        check(1, vec![WatchEvent::Listing, WatchEvent::Listed], 1, Sync::Following);
        check(1, vec![WatchEvent::Interrupted], 1, Sync::Away(Timestamp::UNIX_EPOCH));
        check(0, vec![WatchEvent::Failed("no".into())], 1, Sync::Failed("no".into()));
        check(7, vec![present("b")], 1, Sync::Failed("no".into()));
    }
}
