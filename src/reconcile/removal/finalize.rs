//! The finalizer: deletes or keeps the objects of a deleted release.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::release::DeletionPolicy;
use crate::cluster::session::{Identity, Session};
use crate::domain::gate::{Blocker, WakeOn};
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Extent, settle};
use crate::domain::message::List;
use crate::domain::outcome::{Note, Outcome};
use crate::domain::plan::leaving;
use crate::domain::prune::Holder;
use crate::domain::release::Release;
use crate::observe::labels::{Action, Phase};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::env::dependencies::Dependents;
use crate::reconcile::error::{ReconcileError, RunFailure, chain, failure};
use crate::reconcile::flow::retry::{Attempted, InventoryRetry};
use crate::reconcile::live::view::View;
use crate::reconcile::phase::inventory::{check_place, finalizer_policy, read};
use crate::reconcile::removal::approval;
use crate::reconcile::removal::in_order::remove_in_order;
use crate::reconcile::removal::remove::{Removal, RemovalOrder};
use crate::reconcile::removal::removed::{Deletion, Removed};
use crate::reconcile::scope::Scope;
use crate::reconcile::source::access::no_account;

/// The result.
pub struct FinalizeResult {
    /// Whether the finalizer can be removed.
    pub done: bool,
    /// For the status, when it cannot.
    pub outcome: Outcome,
}

/// Deletes or keeps the objects, as the deletion policy says.
pub async fn finalize(scope: &Scope<'_>, caches: &mut Caches) -> FinalizeResult {
    scope.env.wake(scope.env.target.claims.want_nothing(&scope.release.id));
    scope.env.dependencies.kinds.forget(&scope.release.id);
    scope.env.dependencies.unfollow(&scope.release.id);
    let mut retry = InventoryRetry::default();
    loop {
        let mut outcome = Outcome::default();
        let ended = Box::pin(attempt(scope, caches, &mut outcome)).await;
        scope.slot.release();
        if let Some(Attempted { outcome, is_done }) = retry.settle(scope, caches, ended, outcome) {
            return FinalizeResult { done: is_done, outcome };
        }
    }
}

async fn attempt(
    scope: &Scope<'_>,
    caches: &mut Caches,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    let (env, release) = (scope.env, scope.release);
    let cluster = &mut caches.cluster;
    // An inventory that is only assumed to be missing may be broken, or belong to an older release
    // of the same name: its objects must not be forgotten.
    if cluster.stored.as_ref().is_none_or(|s| !s.exists()) {
        read(scope, cluster).await?;
    }
    let mut notes = Vec::new();
    if cluster.stored.as_ref().is_some_and(|s| s.exists() && !s.is_ours()) {
        // It belongs to another tool, and the release has refused to adopt it.
        cluster.stored = None;
        env.wake(env.target.claims.forget(&release.id));
        return Ok(());
    }
    let entries = cluster.inventory.entries.len();
    let keeps = match release.deletion_policy {
        DeletionPolicy::Orphan => true,
        DeletionPolicy::MirrorPrune => !release.prune,
        DeletionPolicy::Delete | DeletionPolicy::WaitForTermination | DeletionPolicy::WaitForApproval => {
            false
        }
    };
    // Removing the definition of releases must not remove every workload. If nothing would be
    // deleted anyway, the right to read it is not needed.
    let definition_goes = !keeps && entries > 0 && definition_goes(scope).await?;
    if keeps || definition_goes || entries == 0 {
        if entries > 0 {
            let why = if definition_goes {
                "the CustomResourceDefinition of releases is being deleted"
            } else {
                "as spec.deletionPolicy says"
            };
            notes.push(note(format!("Release deleted, kept {} ({why})", counted(entries))));
        }
    } else {
        await_dependents(scope).await?;
        delete_all(scope, caches, &mut notes).await.map_err(|error| match error.reason() {
            Some(Reason::ClusterUnreachable) => kept(release, error),
            _ => error,
        })?;
    }
    let cluster = &mut caches.cluster;
    let Some(stored) = cluster.stored.take() else { return Err(ReconcileError::InventoryConflict) };
    env.session.remove_inventory(&release.id, &stored).await?;
    // Nothing is left to do if the finalizer cannot be removed yet.
    cluster.inventory = Arc::default();
    env.wake(env.target.claims.forget(&release.id));
    outcome.notes = notes;
    Ok(())
}

/// Releases that depend on this one and are being deleted, too, are deleted first.
async fn await_dependents(scope: &Scope<'_>) -> Result<(), ReconcileError> {
    let Scope { env, release, .. } = scope;
    env.dependencies.listed().await;
    let Dependents { going, staying } = env.dependencies.dependents_of(&release.id, Timestamp::now());
    let message = match (going.is_empty(), staying) {
        (true, None) => return Ok(()),
        (false, _) => {
            let names = List::Names.few(going, 3);
            format!("Waiting for releases that depend on this one to be deleted first: {names}")
        }
        (true, Some((staying, left))) => {
            env.wake_after(&release.id, left);
            let names = List::Names.few(staying, 3);
            format!("Waiting a moment in case releases that depend on this one are deleted, too: {names}")
        }
    };
    Err(ReconcileError::Waiting(Blocker::new(Reason::DependentsDeleting, message), WakeOn::Dependencies))
}

async fn definition_goes(scope: &Scope<'_>) -> Result<bool, ReconcileError> {
    scope.env.session.definition_is_terminating().await.map_err(|error| {
        let hint = match error.is_forbidden() {
            true => {
                "; allow the controller's own account to get it, or set spec.deletionPolicy to Orphan to \
                         keep the objects"
            }
            false => "",
        };
        let message = format!(
            "cannot check whether the CustomResourceDefinition of releases is being deleted too: {}{hint}",
            chain(&error)
        );
        failure(error.reason(), message).into()
    })
}

async fn delete_all(
    scope: &Scope<'_>,
    caches: &mut Caches,
    notes: &mut Vec<Note>,
) -> Result<(), ReconcileError> {
    let (env, release) = (scope.env, scope.release);
    // Forgets the watch over another account.
    let session = caches.session(scope).map_err(|error| match error.reason() {
        // The caller says so.
        Some(Reason::ClusterUnreachable) => error,
        _ => kept(release, error),
    })?;
    check_place(scope, &mut caches.cluster)?;
    let identity = session.identity().clone();
    // The namespace of that name in another cluster stays.
    let is_here = release.kube_config.is_none();
    let dying = is_here && env.session.namespace_is_terminating(&release.id.namespace).await?;
    if !account_is_there(&session, &identity).await? {
        if dying {
            // A release never waits for its own namespace.
            notes.push(note(format!(
                "{identity} was deleted before the release, with their namespace: kept objects in other namespaces"
            )));
            return Ok(());
        }
        if let (Identity::ServiceAccount { namespace, name }, true) = (&identity, is_here) {
            // Notified when the account exists again.
            caches.registry.watch_account(env, &release.id, namespace, name);
        }
        return Err(account_gone(release, &identity).into());
    }
    scope.slot.take().await;
    let inventory = Arc::clone(&caches.cluster.inventory);
    let discovery = session.discovery_of(inventory.entries.keys().map(ObjectId::group_kind)).await?;
    let view = View::of(env, &session, &mut caches.cluster, &discovery, inventory.entries.keys()).await?;
    let mut leaving = leaving(&inventory, |_| true);
    if release.deletion_policy == DeletionPolicy::WaitForApproval {
        match dying {
            false => approval::check(scope, &session, &discovery, &leaving, &view, &mut caches.held).await?,
            // A release does not delay the deletion of its own namespace, and nobody has approved more.
            true if !approval::is_recorded(&scope.status(), &release.uid) => {
                let all = leaving.len();
                leaving.retain(|one| one.id.namespace == release.id.namespace);
                let kept = all - leaving.len();
                if kept > 0 {
                    notes.push(note(format!(
                        "Kept {} outside of the deleted namespace: nobody has approved their deletion",
                        counted(kept)
                    )));
                }
            }
            true => {}
        }
    }
    let everything = RemovalOrder {
        release: &release.id,
        prune: true,
        promised: &BTreeMap::new(),
        deletion: Deletion::Real,
        // A release must not block the deletion of its own namespace.
        in_order: !dying,
        progress: scope.progress,
        signals: None,
    };
    let started = Instant::now();
    let (order, leaving) = (everything, leaving.as_slice());
    let removal = Removal { env, session: &session, order, leaving, discovery: &discovery, view: &view };
    let removed = remove_in_order(removal).await;
    scope.timer.add(Phase::Prune, started.elapsed());
    scope.slot.release();
    settle_removed(scope, &mut caches.cluster, removed, dying, notes).await
}

/// A release that cannot reach its objects is not forgotten.
fn kept(release: &Release, error: ReconcileError) -> ReconcileError {
    let ReconcileError::Failed(mut failed) = error else { return error };
    if release.kube_config.is_some() {
        failed.message.push_str(
            "; the release is kept until its objects there are deleted: bring the cluster and its kubeconfig back, or set \
             spec.deletionPolicy to Orphan to keep the objects",
        );
    }
    ReconcileError::Failed(failed)
}

async fn account_is_there(session: &Session, identity: &Identity) -> Result<bool, ReconcileError> {
    match identity {
        Identity::Controller | Identity::User | Identity::Kubeconfig => Ok(true),
        Identity::ServiceAccount { namespace, name } => {
            match session.as_process().account(namespace, name).await {
                // The rights that the other cluster gives that name decide.
                Err(error) if session.server().is_some() && error.is_forbidden() => Ok(true),
                account => Ok(account?.is_some()),
            }
        }
    }
}

/// Writes the rest into the inventory, and fails if anything has to be waited for.
async fn settle_removed(
    scope: &Scope<'_>,
    cluster: &mut ClusterCache,
    removed: Removed,
    dying: bool,
    notes: &mut Vec<Note>,
) -> Result<(), ReconcileError> {
    let Removed { fates, deleted, terminating, handed, holders, waiting, failures, notes: found, .. } =
        removed;
    scope.env.metrics.objects(Action::Pruned, deleted);
    notes.extend(found);
    notes.push(note(match deleted {
        0 => "No objects left to delete".to_owned(),
        count => format!("Deleted {}", counted(count)),
    }));
    let waits = scope.release.deletion_policy == DeletionPolicy::WaitForTermination;
    let goes_too = |id: &&ObjectId| dying && id.namespace == scope.release.id.namespace;
    let held: Vec<_> = terminating.iter().filter(|id| waits && !goes_too(id)).collect();
    // Until its pending owner has applied it, only this inventory has it.
    let handed: Vec<_> = handed.iter().filter(|id| !goes_too(id)).collect();
    if failures.is_empty() && held.is_empty() && handed.is_empty() && waiting.is_empty() {
        return Ok(());
    }
    // In a terminating namespace only removals can be written to the inventory, and those are safe
    // to lose.
    let finalizer = finalizer_policy(scope, cluster);
    if let Some(mut stored) = cluster.stored.take() {
        let mut serves = true;
        let settled = settle(&stored.inventory, &fates, Extent::Partial);
        if settled != *stored.inventory {
            let written =
                scope.env.session.write_inventory(&scope.release.id, &mut stored, settled, finalizer).await;
            if let Err(error) = written {
                tracing::debug!(error = chain(&error), "cannot write the inventory");
                serves = false;
            }
        }
        cluster.remember(scope.env, &scope.release.id, stored);
        if !serves {
            cluster.stored = None;
        }
    }
    let away = failures.iter().find(|failed| failed.reason == Reason::ClusterUnreachable);
    let (reason, message) = match away.or(failures.first()) {
        Some(away) if away.reason == Reason::ClusterUnreachable => (away.reason, away.message.clone()),
        None if !waiting.is_empty() => held_up(scope, &holders, waiting.len()),
        Some(first) => (
            Reason::PruneFailed,
            format!(
                "cannot delete {}; {}: {}. Fix it, or set spec.deletionPolicy to Orphan to keep the rest",
                counted(failures.len()),
                first.id,
                first.message
            ),
        ),
        None => {
            let (what, which) = match held.as_slice() {
                [] => ("not taken over by the other release yet", &handed),
                _ => ("still terminating", &held),
            };
            let names: Vec<String> = which.iter().take(3).map(ToString::to_string).collect();
            let message = format!("{} {what}: {}", counted(which.len()), names.join(", "));
            (Reason::TerminationPending, message)
        }
    };
    let mut failed = failure(reason, message);
    failed.objects = failures;
    failed.entries = Some(cluster.inventory.entries.len());
    Err(failed.into())
}
/// What blocks the rest of the objects, and what to do about it.
fn held_up(scope: &Scope<'_>, holders: &[Holder], waiting: usize) -> (Reason, String) {
    let timeout = scope.release.timeout;
    let now = Timestamp::now();
    let overdue = holders.iter().any(|h| h.is_overdue(timeout, now));
    let reason = if overdue { Reason::PruneFailed } else { Reason::TerminationPending };
    let names: Vec<String> = holders.iter().take(3).map(ToString::to_string).collect();
    let late = match overdue {
        true => format!(
            ", longer than spec.timeout ({}s): fix the controller that clears the finalizer, remove the finalizer, or set \
                 spec.deletionPolicy to Orphan to keep the rest",
            timeout.as_secs()
        ),
        false => String::new(),
    };
    (reason, format!("deletion of {} waits for {}{late}", counted(waiting), names.join("; ")))
}

fn counted(objects: usize) -> String {
    if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") }
}

fn note(message: String) -> Note {
    Note { reason: Reason::Deleting, message }
}

fn account_gone(release: &Release, identity: &Identity) -> Box<RunFailure> {
    let mut gone = no_account(release, identity);
    gone.message = format!(
        "{identity} does not exist, cannot delete the release's objects with its rights: restore the account, \
         or set spec.deletionPolicy to Orphan to keep the objects"
    );
    gone
}
