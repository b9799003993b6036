//! Signals to a release while it runs or waits.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::identity::ObjectId;

/// How many changed objects are remembered. A release has fewer, but its labels may be on others.
const MAX_TOUCHED: usize = 50_000;

/// The mailbox of a release. Written by watches, read by its runs.
#[derive(Debug, Default)]
pub struct Signals {
    pending: Mutex<Pending>,
    notify: Notify,
    /// For waits for the end only: they must not consume the signal that an object has changed.
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

    /// An object of the release has changed. After too many changes that nobody has taken, the release
    /// looks at all objects.
    pub fn touch(&self, id: ObjectId) {
        let is_full = self.with(|p| {
            let is_full = p.touched.len() >= MAX_TOUCHED && !p.touched.contains(&id);
            if !is_full {
                p.touched.insert(id);
            }
            is_full
        });
        match is_full {
            true => self.supersede(),
            false => self.notify.notify_one(),
        }
    }

    /// The release or something that it depends on has changed: the current run is out of date.
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

    /// Takes the changed objects.
    pub fn take_touched(&self) -> HashSet<ObjectId> {
        self.with(|p| std::mem::take(&mut p.touched))
    }

    /// Takes those changed objects that match; the others are left for the next caller.
    pub fn take_touched_of(&self, which: impl Fn(&ObjectId) -> bool) -> HashSet<ObjectId> {
        self.with(|p| p.touched.extract_if(|id| which(id)).collect())
    }

    /// Whether a matching object has changed.
    pub fn is_touched(&self, which: impl Fn(&ObjectId) -> bool) -> bool {
        self.with(|p| p.touched.iter().any(which))
    }

    /// Takes the signal that a run is wanted.
    pub fn take_superseded(&self) -> bool {
        self.with(|p| std::mem::take(&mut p.superseded))
    }

    /// Whether the current run should end.
    pub fn is_superseded(&self) -> bool {
        self.with(|p| p.superseded || p.stopping)
    }

    /// Whether no new work should begin.
    pub fn is_stopping(&self) -> bool {
        self.with(|p| p.stopping)
    }

    /// Waits until the current run should end. Other signals are left for the next caller.
    pub async fn superseded(&self) {
        while !self.is_superseded() {
            self.urgent.notified().await;
        }
    }

    /// Waits until no new work should begin.
    pub async fn stopped(&self) {
        while !self.is_stopping() {
            self.urgent.notified().await;
        }
    }

    /// Waits for the next signal; an earlier one that was not taken counts.
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
