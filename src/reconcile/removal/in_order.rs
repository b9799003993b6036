//! A removal in the reverse of the explicit order: dependents first, and gone before what they
//! depend on is deleted.

use std::collections::BTreeSet;

use futures::StreamExt;
use jiff::Timestamp;

use super::remove::{Removal, remove};
use super::removed::{Deletion, Removed, removal_reason};
use super::terminating::holder_of;
use crate::api::reason::Reason;
use crate::cluster::error::ApiError;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::domain::order::{Teardown, TeardownState};
use crate::domain::outcome::{Note, ObjectFailure};
use crate::domain::plan::{Leaving, Live};
use crate::domain::prune::Holder;
use crate::domain::stage::stage;
use crate::reconcile::error::chain;
use crate::reconcile::flow::parallel::ordered;

/// Removes objects in the reverse of the order that their annotations in the cluster ask for; what
/// has no such order is removed by its stages alone. It does not wait for what is terminating: the
/// rest is in [`Removed::waiting`].
pub async fn remove_in_order(removal: Removal<'_>) -> Removed {
    let Removal { order, leaving, view, .. } = removal;
    let is_ordered = order.prune && (order.in_order || order.deletion == Deletion::Planned);
    let records: Vec<_> = leaving.iter().map(|l| view.record(&l.id).filter(|_| is_ordered)).collect();
    let placements = records.iter().map(|record| record.as_ref()?.placement.as_deref());
    let placed: Vec<_> = leaving.iter().map(|l| &l.id).zip(placements).collect();
    let Some(teardown) = Teardown::of(&placed) else { return remove(removal).await };
    let mut removed = Removed::default();
    loop {
        let batch = teardown.next(|n| state(&removed, &leaving[n].id));
        for (spared, dependent) in batch.spared {
            spare(&leaving[spared], &leaving[dependent].id, &mut removed);
        }
        if batch.delete.is_empty() {
            let waiting: Vec<ObjectId> = batch.waiting.iter().map(|n| leaving[*n].id.clone()).collect();
            let holding: Vec<&Leaving> = batch.holding.iter().map(|n| &leaving[*n]).collect();
            if !waiting.is_empty() && hold(removal, &holding, &mut removed).await {
                continue;
            }
            wait(waiting, &mut removed);
            return removed;
        }
        let now: Vec<Leaving> = batch.delete.iter().map(|n| leaving[*n].clone()).collect();
        if order.in_order && is_held_up(removal, &now, &mut removed).await {
            let rest = batch.delete.iter().chain(&batch.waiting);
            wait(rest.map(|n| leaving[*n].id.clone()).collect(), &mut removed);
            return removed;
        }
        removed.extend(remove(Removal { leaving: &now, ..removal }).await);
        if removed.interrupted {
            return removed;
        }
        if !removed.waiting.is_empty() {
            // A finalizer holds up the stages of this batch, and so all that comes after it.
            wait(batch.waiting.iter().map(|n| leaving[*n].id.clone()).collect(), &mut removed);
            return removed;
        }
    }
}

fn state(removed: &Removed, id: &ObjectId) -> TeardownState {
    match removed.fates.get(id) {
        None => TeardownState::Untouched,
        Some(Fate::Gone | Fate::Dropped) => TeardownState::Gone,
        Some(Fate::Retained) => TeardownState::Kept,
        Some(_) => TeardownState::Remains,
    }
}

/// Keeps an object for a kept object that depends on it.
fn spare(leaving: &Leaving, dependent: &ObjectId, removed: &mut Removed) {
    let id = &leaving.id;
    if !leaving.entry.retained {
        let message = format!("{id} is not deleted: {dependent} depends on it and is kept");
        removed.notes.push(Note { reason: Reason::PruneFailed, message });
    }
    removed.fates.insert(id.clone(), Fate::Retained);
}

fn wait(waiting: Vec<ObjectId>, removed: &mut Removed) {
    removed.fates.extend(waiting.iter().map(|id| (id.clone(), Fate::Remains)));
    removed.waiting.extend(waiting);
}

/// Whether a finalizer of an earlier batch holds up the stages of this one.
async fn is_held_up(removal: Removal<'_>, batch: &[Leaving], removed: &mut Removed) -> bool {
    let Removal { session, discovery, leaving, .. } = removal;
    let Some(first) = batch.iter().map(|l| stage(&l.id.group_kind())).min() else { return false };
    let before: BTreeSet<&ObjectId> = removed.terminating.iter().collect();
    let before = leaving.iter().filter(|l| before.contains(&l.id) && stage(&l.id.group_kind()) > first);
    let looks = before.map(|l| async move { (l.id.clone(), holder_of(session, discovery, l).await) });
    let looks: Vec<_> = ordered(looks).collect().await;
    let mut is_held = false;
    for (id, look) in looks {
        match look {
            Ok(holder) => {
                is_held |= holder.is_some();
                removed.holders.extend(holder);
            }
            // As between the stages: what cannot be read is not waited for.
            Err(error) if error.is_forbidden() => {}
            Err(error) => {
                is_held = true;
                removed.failures.push(unreadable(id, &error));
            }
        }
    }
    is_held
}

/// Finds out what holds objects that others wait for. Returns whether one of them is gone by now.
async fn hold(removal: Removal<'_>, holding: &[&Leaving], removed: &mut Removed) -> bool {
    let Removal { session, discovery, .. } = removal;
    let looks = holding.iter().map(|leaving| async move {
        let id = &leaving.id;
        let resource = discovery.served(&id.group_kind(), &leaving.entry.version);
        let Some(resource) = resource else { return (id, None) };
        (id, Some(session.deletion_hold(&resource, id).await))
    });
    let looks: Vec<_> = ordered(looks).collect().await;
    let mut is_one_gone = false;
    for (id, look) in looks {
        let unknown = || Holder { id: id.clone(), since: Timestamp::now(), finalizers: Vec::new() };
        let Some(look) = look else {
            removed.holders.push(unknown());
            continue;
        };
        match look {
            Ok(Some(hold)) => removed.holders.push(hold.of(id)),
            Ok(None) if removed.terminating.contains(id) => {
                removed.terminating.retain(|other| other != id);
                removed.fates.insert(id.clone(), Fate::Gone);
                is_one_gone = true;
            }
            // It could not be deleted, which is reported.
            Ok(None) => {}
            Err(error) if error.is_forbidden() => removed.holders.push(unknown()),
            Err(error) => removed.failures.push(unreadable(id.clone(), &error)),
        }
    }
    if is_one_gone {
        removed.holders.clear();
    }
    is_one_gone
}

fn unreadable(id: ObjectId, error: &ApiError) -> ObjectFailure {
    let message = format!("cannot check its finalizers: {}", chain(error));
    ObjectFailure { id, reason: removal_reason(error), message }
}
