//! A removal that waits for finalizers, and continues.

use super::in_order::remove_in_order;
use super::remove::Removal;
use super::removed::Removed;
use super::terminating::{Waiter, await_gone};
use crate::domain::identity::ObjectId;
use crate::domain::plan::Leaving;

impl Removal<'_> {
    /// Waits for the blocking objects, up to the timeout, and continues stage by stage.
    pub async fn resume(self, waiter: &Waiter<'_>, removed: &mut Removed) {
        while !removed.holders.is_empty() && removed.failures.is_empty() {
            let holders: Vec<ObjectId> = removed.holders.iter().map(|h| h.id.clone()).collect();
            await_gone(waiter, self.session, self.discovery, self.leaving, removed, &holders).await;
            if waiter.signals.is_stopping() {
                removed.interrupted = true;
                return;
            }
            if removed.terminating.iter().any(|id| holders.contains(id)) {
                return;
            }
            let waiting = std::mem::take(&mut removed.waiting);
            let rest: Vec<Leaving> =
                self.leaving.iter().filter(|l| waiting.contains(&l.id)).cloned().collect();
            removed.holders.clear();
            removed.extend(remove_in_order(Removal { leaving: &rest, ..self }).await);
        }
    }
}
