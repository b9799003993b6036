//! What an accepted plan would change in the cluster: the results of its dry run, compared with the
//! live objects and with a second dry run.

use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;

use super::Accepted;
use super::dry_run::Ready;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::plan::changeset::{ChangeSet, Compared, PlanChange, PlanKey};
use crate::domain::plan::{Action, Live, Step};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::flow::parallel::ordered;
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::removal::planned::planned_removal;
use crate::reconcile::scope::Scope;

const REDEFINED: &str = "its definition changes, and it is tried again after that";
const DEFERRED: &str = "it needs other objects of the plan, such as its Namespace or its kind";

/// The changes of a plan. The answers of its dry run have to be there.
///
/// # Errors
/// When a live object cannot be read.
pub async fn changes(
    scope: &Scope<'_>,
    session: &Session,
    accepted: &Accepted<'_>,
    key: &PlanKey,
) -> Result<ChangeSet, ReconcileError> {
    let Accepted { planned, preflight, .. } = accepted;
    let steps = planned.plan.steps.iter().filter(|step| step.action != Action::Keep);
    let looks = steps.map(|step| {
        let ready = preflight.ready.get(&step.id);
        let is_deferred = preflight.deferred.contains(&step.id);
        async move {
            match (step.action, ready) {
                (Action::Run, _) => Ok(Some(PlanChange::run(key, &step.id, step.object.value()))),
                (_, Some(ready)) if !is_deferred => change(scope, session, step, ready, key).await,
                (_, ready) => {
                    let why = if ready.is_some() { REDEFINED } else { DEFERRED };
                    Ok(Some(PlanChange::unknown(key, &step.id, step.object.value(), why)))
                }
            }
        }
    });
    let mut found = ChangeSet::default();
    let mut answers = ordered(looks);
    while let Some(change) = answers.next().await {
        let change: Result<Option<PlanChange>, ApiError> = change;
        found.changes.extend(change?);
    }
    drop(answers);
    found.changes.extend(removals(scope, session, planned, key).await?);
    Ok(found)
}

async fn change(
    scope: &Scope<'_>,
    session: &Session,
    step: &Step,
    ready: &Ready,
    key: &PlanKey,
) -> Result<Option<PlanChange>, ApiError> {
    let read = |answer: &Bytes| serde_json::from_slice::<Value>(answer).unwrap_or_default();
    let after = ready.answer.as_ref().map_or_else(|| step.object.value().clone(), read);
    let release = &scope.release.id;
    let mut compared = Compared { id: &step.id, release, before: None, after: &after, again: None };
    // What is only created and exists already stays as it is.
    if ready.live.is_some() && step.found.as_ref().is_some_and(|found| !found.is_left) {
        return Ok(None);
    }
    let live: Option<Value> = match &ready.live {
        None => None,
        Some(_) => match session.get(&ready.resource, &step.id).await {
            Ok(answer) => Some(answer.json()?),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        },
    };
    compared.before = live.as_ref();
    if let (true, Some((uid, _)), Some(_)) = (ready.recreate, &ready.live, &live) {
        // The answer is about an object with another name.
        return Ok(Some(Compared { after: step.object.value(), ..compared }.recreated(key, uid.clone())));
    }
    let first = compared.change(key);
    if first.is_none() || step.found.is_some() {
        return Ok(first);
    }
    let again: Value = match session.apply(&ready.resource, &step.id, ready.body.clone(), true).await {
        Ok(applied) => read(&applied.body),
        // It has changed since. The next plan shows how.
        Err(error) if error.is_conflict() => return Ok(first),
        Err(error) => return Err(error),
    };
    Ok(Compared { again: Some(&again), ..compared }.change(key))
}

/// What is deleted, and what would be if that did not fail.
async fn removals(
    scope: &Scope<'_>,
    session: &Session,
    planned: &Planned<'_>,
    key: &PlanKey,
) -> Result<Vec<PlanChange>, ReconcileError> {
    let Planned { plan, view, .. } = planned;
    if !scope.release.prune || plan.leaving.is_empty() {
        return Ok(Vec::new());
    }
    let removed = planned_removal(scope, session, plan, view).await?;
    let uid = |id: &ObjectId| {
        let entry = plan.leaving.iter().find(|leaving| leaving.id == *id).and_then(|l| l.entry.uid.clone());
        entry.or_else(|| view.record(id).map(|record| record.uid)).unwrap_or_default()
    };
    let failed = removed.failures.iter().map(|failure| &failure.id);
    let all = removed.touched.iter().chain(failed);
    let lost = |id: &ObjectId| {
        planned.losses.iter().find(|held| held.id == *id).map(|held| held.words.clone()).unwrap_or_default()
    };
    Ok(all.map(|id| PlanChange::pruned(key, id, uid(id), lost(id))).collect())
}
