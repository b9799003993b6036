//! What reaches a release from outside while it runs or waits.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::identity::ObjectId;

/// The mailbox of a release. Written by watches, read by its runs.
#[derive(Debug, Default)]
pub struct Signals {
    pending: Mutex<Pending>,
    notify: Notify,
    /// For those that wait for the end only: they may not swallow the word that an
    /// object has changed.
    urgent: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    touched: HashSet<ObjectId>,
    superseded: bool,
    stopping: bool,
}

impl Signals {
    fn with<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        change(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An object of the release was seen to change.
    pub fn touch(&self, id: ObjectId) {
        self.with(|p| p.touched.insert(id));
        self.notify.notify_one();
    }

    /// The release itself changed, or something that it depends on: what is
    /// under way is out of date.
    pub fn supersede(&self) {
        self.with(|p| p.superseded = true);
        self.notify.notify_one();
        self.urgent.notify_one();
    }

    /// The process ends, or the release is gone.
    pub fn stop(&self) {
        self.with(|p| p.stopping = true);
        self.notify.notify_one();
        self.urgent.notify_one();
    }

    /// Takes the objects that were seen to change.
    pub fn take_touched(&self) -> HashSet<ObjectId> {
        self.with(|p| std::mem::take(&mut p.touched))
    }

    /// Takes those of the objects that were seen to change that someone waits
    /// for; the others stay for who comes next.
    pub fn take_touched_of(&self, which: impl Fn(&ObjectId) -> bool) -> HashSet<ObjectId> {
        self.with(|p| p.touched.extract_if(|id| which(id)).collect())
    }

    /// Whether an object of some kind was seen to change.
    pub fn is_touched(&self, which: impl Fn(&ObjectId) -> bool) -> bool {
        self.with(|p| p.touched.iter().any(which))
    }

    /// Takes the word that a run is wanted.
    pub fn take_superseded(&self) -> bool {
        self.with(|p| std::mem::take(&mut p.superseded))
    }

    /// Whether what is under way should end.
    pub fn is_superseded(&self) -> bool {
        self.with(|p| p.superseded || p.stopping)
    }

    /// Whether nothing more should begin.
    pub fn is_stopping(&self) -> bool {
        self.with(|p| p.stopping)
    }

    /// Waits until what is under way should end. Other signals are left for who
    /// looks at them next.
    pub async fn superseded(&self) {
        while !self.is_superseded() {
            self.urgent.notified().await;
        }
    }

    /// Waits until nothing more should begin.
    pub async fn stopped(&self) {
        while !self.is_stopping() {
            self.urgent.notified().await;
        }
    }

    /// Waits for the next signal; one that came before counts.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn who_waits_for_the_end_swallows_no_other_signal() {
        let signals = Signals::default();
        signals.touch(ObjectId::from_inventory_id("a_x__ConfigMap").unwrap());
        assert_eq!(signals.superseded().now_or_never(), None);
        assert_eq!(signals.stopped().now_or_never(), None);
        assert_eq!(signals.changed().now_or_never(), Some(()));
        signals.supersede();
        assert_eq!(signals.superseded().now_or_never(), Some(()));
        assert_eq!(signals.changed().now_or_never(), Some(()));
    }
}
