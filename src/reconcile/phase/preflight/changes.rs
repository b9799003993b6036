//! What an accepted plan would change in the cluster: the results of its dry run, compared with the
//! live objects and, where a value may vary, with a second dry run.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;

use super::Accepted;
use super::dry_run::Ready;
use super::listed::each_of_many;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::plan::changeset::{ChangeSet, Compared, KnownChanges, PlanChange, PlanKey};
use crate::domain::plan::{Action, Live, Step};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::flow::parallel::ordered;
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::removal::planned::planned_removal;
use crate::reconcile::scope::Scope;

const REDEFINED: &str = "its definition changes, and it is tried again after that";
const DEFERRED: &str = "it needs other objects of the plan, such as its Namespace or its kind";

/// The changes of a plan. The answers of its dry run have to be there. `known` are those of the plan
/// before: what differs from them without a reason may be unstable.
///
/// # Errors
/// When a live object cannot be read.
pub async fn changes(
    scope: &Scope<'_>,
    session: &Session,
    accepted: &Accepted<'_>,
    key: &PlanKey,
    known: &KnownChanges,
) -> Result<ChangeSet, ReconcileError> {
    let Accepted { planned, preflight, .. } = accepted;
    let comparison = Comparison { scope, session, key, known };
    let steps = || planned.plan.steps.iter().filter(|step| step.action != Action::Keep);
    let tried = |step: &Step| {
        let ready = preflight.ready.get(&step.id).filter(|_| step.action != Action::Run)?;
        (!preflight.deferred.contains(&step.id)).then_some(ready)
    };
    let mut read: BTreeMap<&ObjectId, First> = BTreeMap::new();
    let many = steps().filter_map(|step| Some((step, tried(step)?))).filter(|(step, r)| needs_live(step, r));
    each_of_many(scope, session, planned, many, |step, ready, live| {
        read.insert(&step.id, comparison.first(step, ready, Some(live)));
    })
    .await?;
    let (comparison, mut read) = (&comparison, read);
    let looks = steps().map(|step| {
        let (ready, first) = (tried(step), read.remove(&step.id));
        let redefined = preflight.ready.contains_key(&step.id);
        async move {
            match (step.action, ready) {
                (Action::Run, _) => Ok(Some(PlanChange::run(key, &step.id, step.object.value()))),
                (_, Some(ready)) => comparison.change(step, ready, first).await,
                (_, None) => {
                    let why = if redefined { REDEFINED } else { DEFERRED };
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

/// Whether the change of a step shows only in comparison with the live object. What is only created
/// and exists already stays as it is.
fn needs_live(step: &Step, ready: &Ready) -> bool {
    ready.live.is_some() && step.found.as_ref().is_none_or(|found| found.is_left)
}

/// How the steps of a plan are compared.
struct Comparison<'a> {
    scope: &'a Scope<'a>,
    session: &'a Session,
    key: &'a PlanKey,
    known: &'a KnownChanges,
}

/// What the first dry run of a step shows.
struct First {
    change: Option<PlanChange>,
    /// The live object, if a second dry run has to show which fields are unstable.
    again: Option<Option<Value>>,
}

impl Comparison<'_> {
    fn first(&self, step: &Step, ready: &Ready, live: Option<Value>) -> First {
        let after = ready.answer.as_ref().map_or_else(|| step.object.value().clone(), read);
        let compared = self.compared(step, live.as_ref(), &after);
        if let (true, Some((uid, _)), Some(_)) = (ready.recreate, &ready.live, &live) {
            // The answer is about an object with another name.
            let change = Compared { after: step.object.value(), ..compared }.recreated(self.key, uid.clone());
            return First { change: Some(change), again: None };
        }
        let change = compared.change(self.key);
        let may_vary =
            |change: &PlanChange| compared.is_made_up(&read(&ready.body)) || self.known.differ(change);
        let again = step.found.is_none() && change.as_ref().is_some_and(may_vary);
        First { change, again: again.then_some(live) }
    }

    async fn change(
        &self,
        step: &Step,
        ready: &Ready,
        first: Option<First>,
    ) -> Result<Option<PlanChange>, ApiError> {
        if ready.live.is_some() && !needs_live(step, ready) {
            return Ok(None);
        }
        let first = match first {
            Some(first) => first,
            None => self.first(step, ready, self.live(step, ready).await?),
        };
        let Some(live) = first.again else { return Ok(first.change) };
        let again = match self.session.apply(&ready.resource, &step.id, ready.body.clone(), true).await {
            Ok(applied) => read(&applied.body),
            // It has changed since. The next plan shows how.
            Err(error) if error.is_conflict() => return Ok(first.change),
            Err(error) => return Err(error),
        };
        let after = ready.answer.as_ref().map_or_else(|| step.object.value().clone(), read);
        let compared = self.compared(step, live.as_ref(), &after);
        Ok(Compared { again: Some(&again), ..compared }.change(self.key))
    }

    fn compared<'c>(&'c self, step: &'c Step, before: Option<&'c Value>, after: &'c Value) -> Compared<'c> {
        Compared { id: &step.id, release: &self.scope.release.id, before, after, again: None }
    }

    async fn live(&self, step: &Step, ready: &Ready) -> Result<Option<Value>, ApiError> {
        if ready.live.is_none() {
            return Ok(None);
        }
        match self.session.get(&ready.resource, &step.id).await {
            Ok(answer) => Ok(Some(answer.json()?)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn read(answer: &Bytes) -> Value {
    serde_json::from_slice(answer).unwrap_or_default()
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
