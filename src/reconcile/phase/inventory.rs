//! The inventory of a release: read before anything is decided, written before and
//! after anything is changed.

use std::sync::Arc;

use crate::api::keys;
use crate::api::reason::Reason;
use crate::cluster::inventory::{FinalizerPolicy, Stored};
use crate::domain::gate::InventoryFacts;
use crate::domain::gate::{self, Facts};
use crate::domain::inventory::Inventory;
use crate::domain::remote::place::{RemotePlace, described, may_continue};
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::{ReconcileError, failure};
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
    check_place(scope, cache)?;
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
    if let Some(program) = &stored.inventory.built
        && scope.env.builder.is_other(program).await
    {
        // The same artifact may be built to something else: it is rendered, and compared, once more.
        stored.inventory = Arc::new(Inventory::clone(&stored.inventory).unattributed());
    }
    cache.remember(scope.env, &scope.release.id, stored);
    Ok(())
}

/// Refuses an inventory whose objects are in another cluster than that of the run: they would look
/// deleted there, and be forgotten.
///
/// # Errors
/// Where they are, and what to do.
pub fn check_place(scope: &Scope<'_>, cache: &mut ClusterCache) -> Result<(), ReconcileError> {
    let Some(stored) = &mut cache.stored else { return Ok(()) };
    let (now, inventory) = (&scope.env.target.place, &stored.inventory);
    let entries = inventory.entries.len();
    if may_continue(inventory.place.as_deref(), entries, now.as_deref()) {
        if inventory.place != *now {
            Arc::make_mut(&mut stored.inventory).place.clone_from(now);
            cache.inventory = Arc::clone(&stored.inventory);
        }
        return Ok(());
    }
    let (there, here) = (described(inventory.place.as_deref()), described(now.as_deref()));
    let objects = if entries == 1 { "1 object".to_owned() } else { format!("{entries} objects") };
    if scope.release.leaves_cluster.as_deref() == Some(left_name(inventory.place.as_deref())) {
        // A person gives them up there.
        let id = &scope.release.id;
        scope.env.wake(match inventory.place {
            None => scope.env.home.claims.publish(id, &Arc::default()),
            Some(_) => scope.env.clusters.forget(id),
        });
        let (place, empty) = (now.clone(), Inventory::default());
        stored.inventory = Arc::new(Inventory { place, ..empty });
        cache.inventory = Arc::clone(&stored.inventory);
        return Ok(());
    }
    let name = left_name(inventory.place.as_deref());
    let message = format!(
        "spec.kubeConfig: {objects} of the release are in {there}, and the spec now means {here}: set the field back, or \
         delete the release with the field set back and create it again; or leave the objects where they are with the \
         annotation {}: {name}",
        keys::LEAVE_CLUSTER
    );
    Err(failure(Reason::InvalidSpec, message).into())
}

/// Refuses objects in another cluster: a command of a person works with the cluster of the
/// person's kubeconfig.
///
/// # Errors
/// Where they are.
pub fn refuse_elsewhere(scope: &Scope<'_>, cache: &ClusterCache) -> Result<(), ReconcileError> {
    let place = cache.stored.as_ref().and_then(|stored| stored.inventory.place.as_deref());
    if place.is_none() && scope.release.kube_config.is_none() {
        return Ok(());
    }
    let there = place.map_or_else(|| "the cluster of its spec.kubeConfig".to_owned(), |p| described(Some(p)));
    let message = format!(
        "the objects of {} are in {there}: this command works with objects in the cluster of your kubeconfig only",
        scope.release.id
    );
    Err(failure(Reason::InvalidSpec, message).into())
}

/// The name of a cluster in the annotation that gives up objects there.
fn left_name(place: Option<&RemotePlace>) -> &str {
    place.map_or("home", |place| place.server.as_str())
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
