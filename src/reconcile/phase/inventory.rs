//! The inventory of a release: read before anything is decided, written before and
//! after anything is changed.

use std::sync::Arc;

use crate::cluster::inventory::{FinalizerPolicy, Stored};
use crate::domain::gate::InventoryFacts;
use crate::domain::gate::{self, Facts};
use crate::domain::inventory::Inventory;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::scope::Scope;

/// Reads the inventory if it is not cached, and refuses one that does not belong to the release.
///
/// # Errors
/// When it cannot be read, or another tool has written it.
pub async fn load(scope: &Scope<'_>, cache: &mut ClusterCache) -> Result<(), ReconcileError> {
    if scope.is_asked || scope.status().observed_generation != Some(scope.release.generation) {
        // A person may have changed or restored it.
        cache.stored = None;
    }
    ensure_read(scope, cache).await?;
    refuse_foreign(scope, cache)?;
    record_ended(scope, cache).await
}

/// Reads it if it is not cached.
///
/// # Errors
/// When it cannot be read.
pub async fn ensure_read(scope: &Scope<'_>, cache: &mut ClusterCache) -> Result<(), ReconcileError> {
    if cache.stored.is_none() {
        read(scope, cache).await?;
    }
    Ok(())
}

/// Reads it, and adds the cached part of what another client has removed from it: the next write
/// restores that.
///
/// # Errors
/// When it cannot be read.
pub async fn read(scope: &Scope<'_>, cache: &mut ClusterCache) -> Result<(), ReconcileError> {
    let mut stored = scope.env.session.read_inventory(&scope.release.id).await?;
    if !stored.is_whole() && !cache.inventory.entries.is_empty() {
        let mut known = Inventory::clone(&cache.inventory).unattributed();
        known.entries.extend(stored.inventory.entries.iter().map(|(id, e)| (id.clone(), e.clone())));
        stored.inventory = Arc::new(known);
    }
    cache.remember(scope.env, &scope.release.id, stored);
    Ok(())
}

/// Another tool's inventory of the same name is adopted only on request, as on the command line.
fn refuse_foreign(scope: &Scope<'_>, cache: &mut ClusterCache) -> Result<(), ReconcileError> {
    let Some(stored) = cache.stored.take_if(|s| s.exists() && !s.is_ours()) else { return Ok(()) };
    // Its objects do not belong to the release either. The next run reads it again: it may be
    // adopted by then.
    cache.remember(scope.env, &scope.release.id, Stored::default());
    cache.stored = None;
    refuse_unusable(scope, &stored, false)
}

/// Refuses an inventory of another tool and, where that matters, one that is being deleted.
///
/// # Errors
/// Why it cannot be written.
pub fn refuse_unusable(
    scope: &Scope<'_>,
    stored: &Stored,
    is_going_matters: bool,
) -> Result<(), ReconcileError> {
    let inventory = InventoryFacts {
        id: &scope.release.id,
        adopting: &stored.provenance.adopting,
        writer: &stored.writer,
        is_ours: stored.is_ours(),
        is_going: stored.deleting && is_going_matters,
    };
    let facts = Facts { inventory: Some(inventory), ..scope.facts() };
    ReconcileError::from_gate(gate::decide(&facts))
}

/// Marks finished objects in the inventory.
///
/// # Errors
/// When it cannot be written.
pub async fn record_ended(scope: &Scope<'_>, cache: &mut ClusterCache) -> Result<(), ReconcileError> {
    let Some(marked) = cache.mark_ended(&cache.inventory) else { return Ok(()) };
    let finalizer = finalizer_policy(scope, cache);
    let Some(mut stored) = cache.stored.take() else { return Err(ReconcileError::InventoryConflict) };
    let session = &scope.env.session;
    session.write_inventory(&scope.release.id, &mut stored, marked, finalizer).await?;
    cache.remember(scope.env, &scope.release.id, stored);
    Ok(())
}

/// The finalizer policy for its writes: our finalizer is never removed here.
pub fn finalizer_policy(scope: &Scope<'_>, cache: &ClusterCache) -> FinalizerPolicy {
    match cache.stored.as_ref().is_some_and(|stored| stored.operators) {
        true => FinalizerPolicy::Set,
        false => scope.policy.finalizer,
    }
}
