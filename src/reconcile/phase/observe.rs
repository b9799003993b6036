//! The current state of the applied objects, before anything is fetched.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::release::DriftMode;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::drift::{DriftKind, drift_kind};
use crate::domain::health::RuleSet;
use crate::domain::identity::ObjectId;
use crate::domain::live::Record;
use crate::domain::order::spared;
use crate::domain::plan::Live;
use crate::domain::plan::steps::record_of;
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::{ClusterCache, Mark};
use crate::reconcile::cache::drift::DriftCache;
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::live::checkup::Checkup;
use crate::reconcile::live::named::named;
use crate::reconcile::live::view::View;
use crate::reconcile::phase::inventory;
use crate::reconcile::phase::plan::once::has_strays;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::{Revision, Update};
use crate::reconcile::trust::admission::Admission;

/// The state of the inventory's objects.
#[derive(Default)]
pub struct Observed {
    /// Applied objects that have drifted.
    pub drifted: Vec<(ObjectId, DriftKind)>,
    /// Whether a kept object can be deleted now, or is gone.
    pub leftovers: bool,
    /// Whether there is an object whose apply was not confirmed yet.
    pub unmade: bool,
    /// Whether an object does not exist, in any drift mode.
    pub missing: bool,
    /// Whether an object whose drift is corrected cannot be read: only an apply shows its state.
    pub unseen: bool,
    /// Pods that may have finished, which their metadata does not show.
    pub pods: Vec<(ObjectId, Record)>,
}

/// Whether nothing is left to do for a revision. Finished objects are recorded, and if nothing is
/// left to do the health of the objects is checked.
///
/// # Errors
/// When an object can neither be watched nor read.
pub async fn is_settled(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    admission: &Admission,
) -> Result<bool, ReconcileError> {
    let Update { session, ledger, revision } = *update;
    let discovery = session.discovery().await?;
    let observed = look(scope, session, &discovery, &mut caches.cluster, &caches.drift).await?;
    caches.cluster.ask_pods(session, &discovery, &observed.pods).await;
    inventory::record_ended(scope, &mut caches.cluster).await?;
    let drift = &mut caches.drift;
    drift.drifted.retain(|id| {
        observed.drifted.iter().any(|(drifted, _)| drifted == id) || drift.backoffs.contains_key(id)
    });
    let settled = caches.cluster.is_settled(&revision.key);
    let healthy = !scope.release.awaits_health() || ledger.healthy.as_ref() == Some(&revision.name);
    let images = admission.images();
    let imaged = images.is_none() || caches.trust.is_pinned(revision, images);
    let whole = observed.drifted.is_empty() && !(observed.missing && scope.is_asked);
    // The same digest under another tag: the tag is recorded to detect downgrades.
    let named = ledger.last_applied(scope.release).is_none_or(|last| last.name == revision.name);
    let quiet = !observed.leftovers && !observed.unmade && !observed.unseen;
    let is_settled = settled && healthy && imaged && whole && named && quiet && !has_strays(scope, revision);
    if is_settled {
        check_health(scope, session, &discovery, &caches.cluster, &mut caches.rollout, revision).await;
    }
    Ok(is_settled)
}

/// Finds drift since the last apply.
///
/// # Errors
/// When an object can neither be watched nor read.
pub async fn look(
    scope: &Scope<'_>,
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    cache: &mut ClusterCache,
    drift: &DriftCache,
) -> Result<Observed, ReconcileError> {
    let release = scope.release;
    let inventory = Arc::clone(&cache.inventory);
    let view = View::of(scope.env, session, cache, discovery, inventory.entries.keys()).await?;
    let mut found = Observed::default();
    cache.retained.clear();
    let now = Timestamp::now();
    let retained = inventory.entries.iter().filter(|(_, entry)| entry.retained);
    let retained: Vec<_> = retained.filter_map(|(id, _)| Some((id, view.record(id)?))).collect();
    let spared = spared(retained.iter().map(|(id, record)| (*id, record)));
    for (id, entry) in &inventory.entries {
        let record = view.record(id);
        if entry.retained {
            cache.retained.insert(id.clone(), Mark::of(record.as_ref()));
            let opted_out = record.as_ref().is_some_and(|r| r.prune_disabled);
            let taken = record.as_ref().is_some_and(|r| r.owner.as_ref() != Some(&release.id));
            let stays = opted_out || spared.contains(id);
            found.leftovers |= record.is_none() || taken || (release.prune && !stays);
            continue;
        }
        if record.is_none() && cache.ended_as(id, entry) {
            // It was deleted after it finished, and is not marked in the inventory yet.
            continue;
        }
        found.unseen |= release.drift == DriftMode::Correct && !view.is_observed(id);
        // An object to be recreated by an interrupted run; or another client wrote this inventory.
        found.unmade |= entry.uid.is_none();
        found.missing |= record.is_none() && view.is_observed(id) && !entry.done;
        let asks = |record: &&Record| cache.may_have_succeeded(id, entry, record);
        found.pods.extend(record.as_ref().filter(asks).map(|record| (id.clone(), record.clone())));
        let applied = cache.versions.get(id).copied().unwrap_or_default();
        if record.as_ref().is_some_and(|r| r.version >= applied) {
            cache.versions.remove(id);
        }
        let held_back = drift.backoffs.get(id).is_some_and(|c| c.paused_until(now).is_some());
        let drifts = release.drift != DriftMode::Off && view.is_observed(id) && !held_back;
        if let Some(how) = drift_kind(entry, record.as_ref(), applied).filter(|_| drifts) {
            found.drifted.push((id.clone(), how));
        }
    }
    Ok(found)
}

/// Follows the health of the applied objects while a newer revision waits, if this process does not do
/// so yet.
///
/// # Errors
/// When the kinds that the cluster serves are unknown.
pub async fn follow_health(
    scope: &Scope<'_>,
    caches: &mut Caches,
    session: &Session,
    revision: &Revision,
) -> Result<(), ReconcileError> {
    if caches.rollout.checkup.is_none() && caches.cluster.is_settled(&revision.key) {
        let discovery = session.discovery().await?;
        check_health(scope, session, &discovery, &caches.cluster, &mut caches.rollout, revision).await;
    }
    Ok(())
}

/// Updates the known health of the applied objects, if the release waits for health.
async fn check_health(
    scope: &Scope<'_>,
    session: &Session,
    discovery: &ApiDiscovery,
    cluster: &ClusterCache,
    rollout: &mut RolloutCache,
    revision: &Revision,
) {
    let rules = RuleSet::of(scope.release);
    let before = rollout.checkup.take().filter(|c| c.key == revision.key && c.board.judges_by(&rules));
    if !scope.release.awaits_health() {
        return;
    }
    let mut checkup = before.unwrap_or_else(|| Checkup::new(&revision.key, rules.clone()));
    let inventory = &cluster.inventory;
    if scope.release.wait {
        let judged = |id: &ObjectId| inventory.claims(id) && !cluster.has_run_to_its_end(id);
        checkup.retain(judged);
        for id in inventory.claimed().filter(|id| rules.has_rule(&id.group_kind()) && judged(id)) {
            let version = inventory.entries.get(id).map_or("", |entry| entry.version.as_str());
            if let Some(resource) = discovery.served(&id.group_kind(), version) {
                checkup.add(id, resource);
            }
        }
    } else {
        let (mut named, _) = named(scope.release, discovery);
        let status = scope.status();
        let is_step = |id: &ObjectId| record_of(&status.steps, id, &revision.key).is_some();
        let has_run = |id: &ObjectId| cluster.has_run_to_its_end(id) || is_step(id);
        named.retain(|(id, _)| !has_run(id));
        checkup.retain(|id| named.iter().any(|(named, _)| named == id));
        for (id, resource) in named {
            checkup.add(&id, resource);
        }
    }
    let outdated = checkup.outdated(&cluster.watches);
    if !outdated.is_empty() {
        scope.slot.take().await;
        checkup.look(session, outdated).await;
        scope.slot.release();
    }
    rollout.checkup = Some(checkup);
}
