//! The steps of a revision: objects that run to an end once for it, before the first write of the
//! others and after these are healthy.

pub mod ledger;
pub mod object;
pub mod older;
pub mod pause;
pub mod runner;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::ledger::StepLedger;
use self::object::StepObjects;
use self::older::end_older;
use self::pause::StepPause;
use self::runner::{StepRunner, Stepped};
use crate::api::reason::Reason;
use crate::api::step::{StepOutcome, StepPhase, StepStatus};
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Action, Step};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::{ReconcileError, aggregate};
use crate::reconcile::phase::apply::Applied;
use crate::reconcile::phase::inventory::finalizer_policy;
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::phase::plan::once::has_strays;
use crate::reconcile::phase::preflight::Accepted;
use crate::reconcile::phase::wait::urgent::applied_entries;
use crate::reconcile::scope::revision::Update;
use crate::reconcile::scope::{Scope, Trigger};

/// Runs the steps that come before the rest. Steps of an earlier revision that still run end first.
///
/// # Errors
/// The steps that have failed, or that something is more urgent: the next run goes on.
pub async fn before<'a>(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    mut accepted: Accepted<'a>,
) -> Result<Accepted<'a>, ReconcileError> {
    let planned = &accepted.planned;
    let was_complete = planned.was_complete;
    if !scope.policy.repeats || scope.trigger == Trigger::Restore {
        return Ok(accepted);
    }
    let steps: Vec<&Step> = planned.plan.once(StepPhase::Before).filter(|_| !was_complete).collect();
    let rolls_out = !was_complete || scope.trigger == Trigger::Full;
    let key = &update.revision.key;
    let older = |record: &StepStatus| record.key != *key && record.outcome == StepOutcome::Started;
    if steps.is_empty() && !(rolls_out && scope.status().steps.iter().any(older)) {
        return Ok(accepted);
    }
    refuse_deferred(&steps, &accepted)?;
    let claimed = caches.cluster.inventory.entries.iter().filter(|(_, entry)| !entry.retained);
    let entries = claimed.map(|(id, entry)| (id.clone(), entry.clone())).collect();
    let mut runner = runner_of(scope, caches, update, planned, entries).await?;
    end_older(&mut runner).await?;
    let Stepped { fates, failures } = runner.run(&steps, "before the other objects are written").await?;
    if let Some(error) = runner.ended {
        return Err(error);
    }
    if !failures.is_empty() {
        record(scope, &mut caches.cluster, &fates).await?;
        return Err(aggregate(Reason::StepFailed, "nothing else applied, step failed for", failures));
    }
    accepted.steps = fates;
    Ok(accepted)
}

/// Runs the steps that come after the rest. A run that has already ended runs none.
pub async fn after<'a>(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    mut applied: Applied<'a>,
) -> Applied<'a> {
    let Applied { planned, executed, .. } = &mut applied;
    let steps: Vec<&Step> = planned.plan.once(StepPhase::After).filter(|_| !planned.was_complete).collect();
    let idle = !scope.policy.repeats || scope.trigger == Trigger::Restore;
    if idle || executed.ended.is_some() || steps.is_empty() {
        return applied;
    }
    let entries = applied_entries(&caches.cluster, &planned.plan, &executed.fates);
    let stepped = async {
        let mut runner = runner_of(scope, caches, update, planned, entries).await?;
        let stepped = runner.run(&steps, "after the other objects are healthy").await?;
        Ok::<_, ReconcileError>((stepped, runner.ended))
    };
    match stepped.await {
        Ok((Stepped { fates, failures }, ended)) => {
            executed.fates.extend(fates);
            executed.ended = ended;
            if !failures.is_empty() {
                executed.failures.clone_from(&failures);
                executed.ended = Some(aggregate(Reason::StepFailed, "applied, step failed for", failures));
            }
        }
        Err(error) => executed.ended = Some(error),
    }
    applied
}

/// Runs steps with what the applied objects are compared with.
async fn runner_of<'r>(
    scope: &'r Scope<'_>,
    caches: &'r mut Caches,
    update: &'r Update<'r>,
    planned: &'r Planned<'_>,
    mut entries: HashMap<ObjectId, Entry>,
) -> Result<StepRunner<'r>, ReconcileError> {
    for step in planned.plan.steps.iter().filter(|step| step.once.is_some()) {
        entries.remove(&step.id);
    }
    let ledger = StepLedger::read(scope, update).await?;
    let Caches { cluster, drift, .. } = caches;
    Ok(StepRunner {
        scope,
        cluster,
        update,
        discovery: &planned.discovery,
        ledger,
        objects: StepObjects { release: scope.release, session: update.session },
        pause: StepPause { scope, drift, entries },
        gone: BTreeSet::new(),
        ended: None,
    })
}

/// Forgets the steps of other revisions once this one is complete: their objects are gone.
pub async fn forget_others(scope: &Scope<'_>, update: &Update<'_>) -> Result<(), ReconcileError> {
    if !scope.policy.repeats || !has_strays(scope, update.revision) {
        return Ok(());
    }
    let key = &update.revision.key;
    let mut ledger = StepLedger::read(scope, update).await?;
    ledger.write(|records| records.retain(|record| record.key == *key), None).await
}

/// A step cannot wait for objects that are written after it.
fn refuse_deferred(steps: &[&Step], accepted: &Accepted<'_>) -> Result<(), ReconcileError> {
    let waits =
        steps.iter().filter(|s| s.action == Action::Run && accepted.preflight.deferred.contains(&s.id));
    let failures: Vec<ObjectFailure> = waits
        .map(|step| ObjectFailure {
            id: step.id.clone(),
            reason: Reason::PreflightFailed,
            message:
                "it runs before the other objects are written, and needs one of them (its Namespace, kind or \
                      rights): move that to another release, or set supercargo.dev/step: after"
                    .to_owned(),
        })
        .collect();
    match failures.is_empty() {
        true => Ok(()),
        false => Err(aggregate(Reason::PreflightFailed, "nothing applied, cannot run", failures)),
    }
}

/// Writes the objects of steps into the inventory, which stays the result of its revision.
async fn record(
    scope: &Scope<'_>,
    cache: &mut ClusterCache,
    fates: &BTreeMap<ObjectId, Fate>,
) -> Result<(), ReconcileError> {
    let finalizer = finalizer_policy(scope, cache);
    let Some(mut stored) = cache.stored.take() else { return Err(ReconcileError::InventoryConflict) };
    let mut inventory = (*stored.inventory).clone();
    for (id, fate) in fates {
        match fate {
            Fate::Applied(entry) => drop(inventory.entries.insert(id.clone(), entry.clone())),
            _ => drop(inventory.entries.remove(id)),
        }
    }
    if inventory != *stored.inventory {
        let session = &scope.env.session;
        session.write_inventory(&scope.release.id, &mut stored, inventory, finalizer).await?;
    }
    cache.remember(scope.env, &scope.release.id, stored);
    Ok(())
}
