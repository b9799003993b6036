//! All releases that are shown, in memory, as one watch reports them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

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
    /// The watch has failed; the rows are those from before.
    Failed(String),
}

/// The rows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// In the order of their names.
    pub rows: Arc<BTreeMap<ReleaseId, Arc<Row>>>,
    /// Whether they are current.
    pub sync: Sync,
}

/// What the watch has reported.
#[derive(Debug, Default)]
struct State {
    rows: Arc<BTreeMap<ReleaseId, Arc<Row>>>,
    /// The releases of the list that is being read.
    listed: Option<BTreeSet<ReleaseId>>,
    sync: Sync,
}

impl State {
    /// Whether anything that is shown has changed.
    fn apply(&mut self, event: WatchEvent) -> bool {
        match event {
            WatchEvent::Listing => {
                self.listed = Some(BTreeSet::new());
                false
            }
            WatchEvent::Present(release) => self.present(&release),
            WatchEvent::Absent(release) => {
                let id = id(&release);
                self.rows.contains_key(&id) && Arc::make_mut(&mut self.rows).remove(&id).is_some()
            }
            WatchEvent::Listed => {
                let before = (self.rows.len(), self.sync.clone());
                if let Some(listed) = self.listed.take() {
                    Arc::make_mut(&mut self.rows).retain(|id, _| listed.contains(id));
                }
                self.sync = Sync::Following;
                before != (self.rows.len(), Sync::Following)
            }
            WatchEvent::Failed(why) => {
                let failed = Sync::Failed(why);
                std::mem::replace(&mut self.sync, failed.clone()) != failed
            }
        }
    }

    fn present(&mut self, release: &Value) -> bool {
        let row = Row::of(release);
        if let Some(listed) = &mut self.listed {
            listed.insert(row.id.clone());
        }
        if self.rows.get(&row.id).is_some_and(|known| **known == row) {
            return false;
        }
        Arc::make_mut(&mut self.rows).insert(row.id.clone(), Arc::new(row));
        true
    }
}

/// The rows, and a signal when they change.
#[derive(Debug)]
pub struct ReleaseIndex {
    state: RwLock<State>,
    changed: watch::Sender<u64>,
}

impl Default for ReleaseIndex {
    fn default() -> Self {
        Self { state: RwLock::default(), changed: watch::Sender::new(0) }
    }
}

impl ReleaseIndex {
    /// The rows now.
    pub fn rows(&self) -> Rows {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Rows { rows: Arc::clone(&state.rows), sync: state.sync.clone() }
    }

    /// A signal of changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Applies what a watch reports.
    pub fn apply(&self, events: impl IntoIterator<Item = WatchEvent>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let changed = events.into_iter().fold(false, |changed, event| state.apply(event) | changed);
        drop(state);
        if changed {
            self.changed.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    /// Follows the releases of a namespace, or of all, until the future is dropped.
    pub async fn follow(&self, session: Session, namespace: Option<String>) {
        /// The most events that are applied at once.
        const BATCH: usize = 500;
        let (sender, mut reported) = mpsc::unbounded_channel();
        let watching = session.follow_releases(namespace, None, sender);
        let applying = async {
            let mut events = Vec::new();
            while reported.recv_many(&mut events, BATCH).await > 0 {
                self.apply(events.drain(..));
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
        let index = ReleaseIndex::default();
        let mut changes = index.changes();
        let mut check = |events: Vec<WatchEvent>, changed: bool, names: &[&str], sync: Sync| {
            index.apply(events);
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
}
