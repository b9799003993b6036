//! What a run would do, from the same plan and the same dry run: the sequence, stopped
//! before the first write.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use super::cache::Caches;
use super::error::ReconcileError;
use super::flow::parallel::unordered;
use super::phase::obtain::Obtained;
use super::phase::pin::pin;
use super::phase::plan::{Planned, expressions, ownership, plan};
use super::phase::preflight::changes::changes;
use super::phase::preflight::dry_run::{Preflight, Ready};
use super::phase::preflight::preflight;
use super::removal::planned::planned_removal;
use super::scope::Scope;
use super::scope::progress::ObjectChange;
use super::scope::revision::Update;
use crate::api::step::{StepOutcome, StepStatus};
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::drift::differing_paths;
use crate::domain::identity::ObjectId;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::changeset::{ChangeSet, KnownChanges, PlanKey};
use crate::domain::plan::steps::record_of;
use crate::domain::plan::{Action, Plan, Step};
use crate::domain::preflight::laid_over;

/// The planned change of an object.
#[derive(Clone, Debug)]
pub struct PlannedChange {
    /// Which.
    pub id: ObjectId,
    /// The planned change.
    pub change: ObjectChange,
    /// The live object, where it would be changed or deleted.
    pub before: Option<Value>,
    /// The object after the change; if its Namespace or kind does not exist yet, or its definition
    /// changes, what would be sent, without defaults.
    pub after: Option<Value>,
}

/// What a run would do.
#[derive(Debug, Default)]
pub struct Preview {
    /// Every object: those of the manifests in the order of the apply, then those
    /// that would be deleted.
    pub objects: Vec<PlannedChange>,
    /// What the dry run refuses; with any, nothing at all would be written.
    pub failures: Vec<ObjectFailure>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Whether the inventory's namespace does not exist yet.
    pub lacks_namespace: bool,
}

/// Previews a run. What would stop a run before its first write also stops the preview, except
/// refusals of the dry run: these are listed for each object.
///
/// # Errors
/// Why there is no preview.
pub async fn preview(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    obtained: Obtained,
) -> Result<Preview, ReconcileError> {
    let session = update.session;
    let pinned = pin(scope, caches.into(), update, obtained).await?;
    let planned = plan(scope, &mut caches.cluster, update, pinned.rendered).await?;
    ownership::check(scope, session, &planned).await?;
    expressions::check(scope, session, &planned).await?;
    let mut preview = dry_run(scope, session, &planned).await?;
    preview.notes.extend(failed_steps(&scope.status().steps, &planned.plan, &update.revision.key));
    removals(scope, session, &planned, &mut preview).await?;
    Ok(preview)
}

/// The changes of a run as a person approves them: of the whole plan, which has to be accepted.
///
/// # Errors
/// Why there is no plan, or which objects the dry run refuses.
pub async fn change_set(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    obtained: Obtained,
    key: &PlanKey,
) -> Result<ChangeSet, ReconcileError> {
    let session = update.session;
    let pinned = pin(scope, caches.into(), update, obtained).await?;
    let planned = plan(scope, &mut caches.cluster, update, pinned.rendered).await?;
    ownership::check(scope, session, &planned).await?;
    expressions::check(scope, session, &planned).await?;
    let accepted = preflight(scope, session, &mut caches.rollout, planned, true).await?;
    changes(scope, session, &accepted, key, &KnownChanges::default()).await
}

/// The planned changes of the objects of the plan.
async fn dry_run(
    scope: &Scope<'_>,
    session: &Session,
    planned: &Planned<'_>,
) -> Result<Preview, ReconcileError> {
    let Planned { plan, discovery, .. } = planned;
    let mut preflight = Preflight::new(scope, session, plan);
    preflight.keeps_answers = true;
    let home = &scope.release.id.namespace;
    let brought = plan.steps.iter().any(|s| s.id.is("", "Namespace") && s.id.name == *home);
    let lacks_namespace = !brought && !session.namespace_exists(home).await?;
    if lacks_namespace {
        preflight.will_have_namespace(home);
    }
    let failures = preflight.first_pass(plan, discovery).await.err().unwrap_or_default();
    let mut preview = Preview { failures, lacks_namespace, ..Preview::default() };
    look(session, discovery, plan, &preflight, &mut preview).await?;
    Ok(preview)
}

/// Says which steps have failed for the revision: a run stops at them.
fn failed_steps(records: &[StepStatus], plan: &Plan, key: &str) -> Vec<String> {
    let has_failed = |step: &&Step| {
        let record = record_of(records, &step.id, key).filter(|_| step.action == Action::Run);
        record.is_some_and(|record| record.outcome != StepOutcome::Started)
    };
    let failed = plan.steps.iter().filter(has_failed);
    failed.map(|step| format!("step {} has failed, and is run again only on request", step.id)).collect()
}

/// What would be deleted.
async fn removals(
    scope: &Scope<'_>,
    session: &Session,
    planned: &Planned<'_>,
    preview: &mut Preview,
) -> Result<(), ReconcileError> {
    let Planned { plan, view, .. } = planned;
    let removed = planned_removal(scope, session, plan, view).await?;
    preview.failures.extend(removed.failures);
    preview.notes.extend(removed.notes.into_iter().map(|n| n.message));
    let going = removed.touched.into_iter();
    preview.objects.extend(going.map(|id| PlannedChange {
        id,
        change: ObjectChange::Deleted,
        before: None,
        after: None,
    }));
    Ok(())
}

async fn look(
    session: &Session,
    discovery: &ApiDiscovery,
    plan: &Plan,
    preflight: &Preflight<'_>,
    preview: &mut Preview,
) -> Result<(), ReconcileError> {
    let mut looks = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let ready = preflight.ready.get(&step.id);
        let deferred = preflight.deferred.contains(&step.id);
        if step.action != Action::Keep && ready.is_none() && !deferred {
            // Refused, and already listed.
            continue;
        }
        looks.push(async move { (at, planned_change(session, discovery, step, ready).await) });
    }
    let mut seen: Vec<(usize, Result<PlannedChange, ApiError>)> =
        unordered(looks.into_iter()).collect().await;
    seen.sort_by_key(|(at, _)| *at);
    for (_, change) in seen {
        preview.objects.push(change?);
    }
    Ok(())
}

async fn planned_change(
    session: &Session,
    discovery: &ApiDiscovery,
    step: &Step,
    ready: Option<&Ready>,
) -> Result<PlannedChange, ApiError> {
    let id = step.id.clone();
    if step.action == Action::Run {
        return Ok(PlannedChange { id, change: ObjectChange::Run, before: None, after: None });
    }
    let unchanged = |id| PlannedChange { id, change: ObjectChange::Unchanged, before: None, after: None };
    let (Action::Write, Some(ready)) = (step.action, ready) else {
        return Ok(match step.action {
            Action::Keep => unchanged(id),
            // It depends on a part of the plan that is not written yet.
            Action::Write | Action::Run => {
                let sent = step.object.value();
                match before_its_cure(session, discovery, step).await? {
                    Some(before) => {
                        let after = Some(laid_over(&before, sent));
                        PlannedChange { id, change: ObjectChange::Configured, before: Some(before), after }
                    }
                    None => {
                        let after = Some(sent.clone());
                        PlannedChange { id, change: ObjectChange::Created, before: None, after }
                    }
                }
            }
        });
    };
    let after: Value = match &ready.answer {
        Some(answer) => serde_json::from_slice(answer).unwrap_or_default(),
        None => step.object.value().clone(),
    };
    if ready.live.is_none() {
        return Ok(PlannedChange { id, change: ObjectChange::Created, before: None, after: Some(after) });
    }
    if step.found.as_ref().is_some_and(|found| !found.is_left) {
        return Ok(unchanged(id));
    }
    let resource = Arc::clone(&ready.resource);
    let before: Value = match session.get(&resource, &step.id).await {
        Ok(answer) => answer.json()?,
        Err(error) if error.is_not_found() => {
            return Ok(PlannedChange { id, change: ObjectChange::Created, before: None, after: Some(after) });
        }
        Err(error) => return Err(error),
    };
    if !ready.recreate && differing_paths(&before, &after).is_empty() {
        return Ok(unchanged(id));
    }
    let change = if ready.recreate { ObjectChange::Recreated } else { ObjectChange::Configured };
    Ok(PlannedChange { id, change, before: Some(before), after: Some(after) })
}

/// The live object of a step that is refused until the plan is applied.
async fn before_its_cure(
    session: &Session,
    discovery: &ApiDiscovery,
    step: &Step,
) -> Result<Option<Value>, ApiError> {
    let Some(resource) = discovery.served(&step.id.group_kind(), &step.version) else { return Ok(None) };
    match session.get(&resource, &step.id).await {
        Ok(answer) => answer.json().map(Some),
        Err(ApiError::NotServed { .. }) => Ok(None),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}
