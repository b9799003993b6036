//! The only retry in a run: another client has changed the inventory meanwhile.

use crate::api::reason::Reason;
use crate::domain::identity::ReleaseId;
use crate::domain::outcome::Outcome;
use crate::domain::status::inventory_name;
use crate::reconcile::cache::Caches;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::scope::Scope;

/// How often a run is attempted.
const ATTEMPTS: usize = 3;

/// The result of the attempts.
pub struct Attempted {
    /// For the status, or for a person. Every error is folded into it.
    pub outcome: Outcome,
    /// Whether an attempt was completed.
    pub is_done: bool,
}

/// How often a run has restarted.
#[derive(Debug, Default)]
pub struct InventoryRetry {
    attempts: usize,
}

impl InventoryRetry {
    /// The result of an attempt; `None` when the run has to restart with an empty outcome, because
    /// another client has changed the inventory meanwhile.
    pub fn settle(
        &mut self,
        scope: &Scope<'_>,
        caches: &mut Caches,
        ended: Result<(), ReconcileError>,
        mut outcome: Outcome,
    ) -> Option<Attempted> {
        let is_done = ended.is_ok();
        if ended.or_else(|error| error.fold_into(&mut outcome)).is_ok() {
            return Some(Attempted { outcome, is_done });
        }
        // The inventory is read again.
        caches.cluster.stored = None;
        self.attempts += 1;
        if self.attempts < ATTEMPTS {
            return None;
        }
        let mut message = written_by_other(&scope.release.id);
        if !scope.policy.repeats {
            message.push_str("; try again");
        }
        Some(Attempted { outcome: Outcome::failed(Reason::ApiServerUnavailable, message), is_done })
    }
}

/// The message about an inventory that another client changes.
pub fn written_by_other(id: &ReleaseId) -> String {
    let name = inventory_name(&id.name);
    format!("another client changes the inventory {}/{name} at the same time", id.namespace)
}
