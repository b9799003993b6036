//! The deletion of all objects of an inventory, for the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::reason::Reason;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::inventory::{FinalizerPolicy, StoreError, Stored};
use crate::cluster::session::Session;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::{Extent, Fate, settle};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Leaving, leaving};
use crate::domain::status::inventory_name;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::{ReconcileError, aggregate};
use crate::reconcile::live::view::View;
use crate::reconcile::removal::in_order::remove_in_order;
use crate::reconcile::removal::remove::{Removal, RemovalOrder};
use crate::reconcile::removal::removed::{Deletion, Removed};
use crate::reconcile::removal::terminating::{Waiter, await_gone, held};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::progress::{ObjectChange, ProgressEvent};

/// The result of a deletion.
#[derive(Debug, Default)]
pub struct UninstallReport {
    /// How many objects it deleted.
    pub deleted: usize,
    /// What is still terminating, and why.
    pub terminating: Vec<ObjectFailure>,
    /// Whether the inventory still exists and has these.
    pub is_named: bool,
    /// Objects that are kept because they opt out.
    pub kept: Vec<ObjectId>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Whether it was interrupted before everything was deleted.
    pub interrupted: bool,
}

/// Deletes all objects of an inventory, then the inventory. The release has the timeout of each
/// wait, and whether to wait at all.
///
/// # Errors
/// What could not be deleted; it is still in the inventory.
pub async fn uninstall(
    scope: &Scope<'_>,
    cluster: &mut ClusterCache,
) -> Result<UninstallReport, ReconcileError> {
    let Scope { env, release, progress, signals, .. } = *scope;
    let session = env.session.clone();
    let Some(mut stored) = cluster.stored.take() else { return Err(ReconcileError::InventoryConflict) };
    let inventory = Arc::clone(&stored.inventory);
    let discovery = session.discovery_of(inventory.entries.keys().map(ObjectId::group_kind)).await?;
    let view = View::of(env, &session, cluster, &discovery, inventory.entries.keys()).await?;
    let leaving = leaving(&inventory, |_| true);
    let was_held = stored.operators;
    let takes_home = inventory.entries.keys().any(|id| is_home(id, &release.id));
    if takes_home && release.wait && !was_held {
        // The deletion of its namespace would delete the inventory before the rest is gone.
        let named = (*inventory).clone();
        session.write_inventory(&release.id, &mut stored, named, FinalizerPolicy::Set).await?;
    }
    let everything = RemovalOrder {
        release: &release.id,
        prune: true,
        promised: &BTreeMap::new(),
        deletion: Deletion::Real,
        in_order: true,
        progress,
        signals: Some(signals),
    };
    let removal = Removal {
        env,
        session: &session,
        order: everything,
        leaving: &leaving,
        discovery: &discovery,
        view: &view,
    };
    let mut removed = remove_in_order(removal).await;
    let waiter = Waiter { timeout: release.timeout, signals, progress };
    if release.wait {
        removal.resume(&waiter, &mut removed).await;
    }
    settle_removed(scope, &mut stored, &removed, was_held).await?;
    refuse_remaining(&removed)?;
    if removed.interrupted {
        return Ok(UninstallReport {
            deleted: removed.deleted,
            interrupted: true,
            ..UninstallReport::default()
        });
    }
    let is_last = removed.terminating.iter().all(|id| is_home(id, &release.id));
    if is_last {
        // Its own namespace may wait only for the inventory.
        session.remove_inventory(&release.id, &stored).await?;
        stored = Stored::default();
    } else if release.wait {
        // It is marked for deletion like the rest and removed last: until then it lists what still
        // exists.
        session.mark_inventory_for_deletion(&release.id, &mut stored).await?;
    }
    if is_last || release.wait {
        progress.report(ProgressEvent::Object(&inventory_object(&release.id), ObjectChange::Deleted));
    }
    if release.wait {
        progress.report(ProgressEvent::AwaitsTermination);
    }
    if release.wait && removed.waiting.is_empty() {
        follow(&waiter, &session, &release.id, &discovery, &leaving, &mut removed, &mut stored).await?;
    }
    let opted_out = removed.fates.iter().filter(|(_, fate)| **fate == Fate::Retained);
    Ok(UninstallReport {
        deleted: removed.deleted,
        terminating: held(&session, &discovery, &leaving, &removed).await,
        is_named: stored.exists() && !removed.terminating.is_empty(),
        kept: opted_out.map(|(id, _)| id.clone()).collect(),
        notes: removed.notes.into_iter().map(|n| n.message).collect(),
        interrupted: false,
    })
}

/// Writes the rest into the inventory, with our finalizer during the wait.
async fn settle_removed(
    scope: &Scope<'_>,
    stored: &mut Stored,
    removed: &Removed,
    was_held: bool,
) -> Result<(), ReconcileError> {
    let release = scope.release;
    let settled = settle(&stored.inventory, &removed.fates, Extent::Partial);
    let is_over = settled.entries.is_empty() && removed.failures.is_empty();
    // An inventory that is being deleted has the finalizer already, and needs no other change.
    if is_over || stored.deleting {
        return Ok(());
    }
    let waits = release.wait && !removed.terminating.is_empty();
    let home_goes = removed.terminating.iter().any(|id| is_home(id, &release.id));
    let is_all = removed.failures.is_empty() && !removed.interrupted;
    let finalizer = match was_held || (waits && (home_goes || is_all)) {
        true => FinalizerPolicy::Set,
        false => FinalizerPolicy::Omit,
    };
    let session = &scope.env.session;
    match session.write_inventory(&release.id, stored, settled, finalizer).await {
        // Deleted with its namespace, as requested.
        Err(StoreError::Changed { name }) if home_goes => {
            *stored = session.unwritten(&release.id, stored, name).await?;
            Ok(())
        }
        written => Ok(written?),
    }
}

/// Waits for the terminating objects. The inventory is removed when all but its own namespace are
/// gone: the namespace waits for it.
async fn follow(
    waiter: &Waiter<'_>,
    session: &Session,
    id: &ReleaseId,
    discovery: &Arc<ApiDiscovery>,
    leaving: &[Leaving],
    removed: &mut Removed,
    stored: &mut Stored,
) -> Result<(), ReconcileError> {
    if removed.terminating.is_empty() {
        return Ok(());
    }
    let (home, others): (Vec<ObjectId>, Vec<ObjectId>) =
        std::mem::take(&mut removed.terminating).into_iter().partition(|object| is_home(object, id));
    removed.terminating = others;
    let all = removed.terminating.clone();
    await_gone(waiter, session, discovery, leaving, removed, &all).await;
    if !removed.terminating.is_empty() {
        removed.terminating.extend(home);
        return Ok(());
    }
    session.remove_inventory(id, stored).await?;
    removed.terminating.clone_from(&home);
    await_gone(waiter, session, discovery, leaving, removed, &home).await;
    *stored = Stored::default();
    Ok(())
}

/// Whether it is the namespace that the inventory is in.
fn is_home(id: &ObjectId, inventory: &ReleaseId) -> bool {
    id.is("", "Namespace") && id.name == inventory.namespace
}

fn refuse_remaining(removed: &Removed) -> Result<(), ReconcileError> {
    if removed.failures.is_empty() {
        return Ok(());
    }
    Err(aggregate(
        Reason::PruneFailed,
        "deleted only part, the inventory has the rest; deletion failed for",
        removed.failures.clone(),
    ))
}

/// The ConfigMap of an inventory, as an object.
pub fn inventory_object(id: &ReleaseId) -> ObjectId {
    ObjectId {
        namespace: id.namespace.clone(),
        name: inventory_name(&id.name),
        group: String::new(),
        kind: "ConfigMap".to_owned(),
    }
}
