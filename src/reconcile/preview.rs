//! What a run would do, from the same plan and the same dry run.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use crate::cluster::discovery::Known;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::drift::differing_paths;
use crate::domain::identity::ObjectId;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Action, Plan, Step};
use crate::domain::preflight::laid_over;
use crate::reconcile::driver::{Ended, Revision, Run};
use crate::reconcile::parallel::unordered;
use crate::reconcile::phase::admit::evidence::Admitted;
use crate::reconcile::phase::plan::ownership;
use crate::reconcile::phase::preflight::{Preflight, Ready};
use crate::reconcile::phase::prune::{Deletion, Order, Removal, remove};
use crate::reconcile::phase::work;
use crate::reconcile::scope::progress::{Change, Silence};

/// What would become of an object.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// Which.
    pub id: ObjectId,
    /// What would become of it.
    pub change: Change,
    /// The live object, where it would be changed or deleted.
    pub before: Option<Value>,
    /// What it would be; of one whose Namespace or kind does not exist yet, or whose
    /// definition changes, what would be sent, without the defaults.
    pub after: Option<Value>,
}

/// What a run would do.
#[derive(Debug, Default)]
pub struct Preview {
    /// Every object: those of the manifests in the order of the apply, then those
    /// that would be deleted.
    pub objects: Vec<Foreseen>,
    /// What the dry run refuses; with any, nothing at all would be written.
    pub failures: Vec<ObjectFailure>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Whether the inventory's namespace does not exist yet.
    pub lacks_namespace: bool,
}

/// Looks ahead.
///
/// # Errors
/// Why nothing can be said.
pub async fn preview(
    run: &mut Run<'_>,
    session: &Session,
    content: &Admitted,
    revision: &Revision,
) -> Result<Preview, Ended> {
    let known = session.known().await?;
    let (known, objects) = crate::reconcile::phase::render::objects(run, session, known, content).await?;
    let (plan, view) = work::decide(run, session, &known, revision, objects).await?;
    ownership::refuse(run, session, &known, (&plan, &view)).await?;
    let mut preflight = Preflight::new(session, run.release, &plan);
    preflight.keeps_answers = true;
    let home = &run.release.id.namespace;
    let brought = plan.steps.iter().any(|s| s.id.is("", "Namespace") && s.id.name == *home);
    let lacks_namespace = !brought && !session.namespace_exists(home).await?;
    if lacks_namespace {
        preflight.will_have_namespace(home);
    }
    let failures = preflight.first_pass(&plan, &known).await.err().unwrap_or_default();
    let mut preview = Preview { failures, lacks_namespace, ..Preview::default() };
    look(session, &known, &plan, &preflight, &mut preview).await?;

    let progress = &Silence;
    let order = Order {
        release: &run.release.id,
        prune: run.release.prune,
        deletion: Deletion::Foretold,
        in_order: false,
        progress,
        signals: None,
    };
    let kinds = plan.leaving.iter().map(|l| l.id.group_kind());
    let known = session.known_of(kinds).await?;
    let (context, leaving) = (run.context, plan.leaving.as_slice());
    let removed = remove(Removal { context, session, order, leaving, known: &known, view: &view }).await;
    preview.failures.extend(removed.failures);
    preview.notes.extend(removed.notes.into_iter().map(|n| n.message));
    let going = removed.touched.into_iter();
    preview.objects.extend(going.map(|id| Foreseen {
        id,
        change: Change::Deleted,
        before: None,
        after: None,
    }));
    Ok(preview)
}

async fn look(
    session: &Session,
    known: &Known,
    plan: &Plan,
    preflight: &Preflight<'_>,
    preview: &mut Preview,
) -> Result<(), Ended> {
    let mut looks = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let ready = preflight.ready.get(&step.id);
        let deferred = preflight.deferred.contains(&step.id);
        if step.action == Action::Write && ready.is_none() && !deferred {
            // Refused, and told so.
            continue;
        }
        looks.push(async move { (at, foresee(session, known, step, ready).await) });
    }
    let mut seen: Vec<(usize, Result<Foreseen, ApiError>)> = unordered(looks.into_iter()).collect().await;
    seen.sort_by_key(|(at, _)| *at);
    for (_, foreseen) in seen {
        preview.objects.push(foreseen?);
    }
    Ok(())
}

async fn foresee(
    session: &Session,
    known: &Known,
    step: &Step,
    ready: Option<&Ready>,
) -> Result<Foreseen, ApiError> {
    let id = step.id.clone();
    let unchanged = |id| Foreseen { id, change: Change::Unchanged, before: None, after: None };
    let (Action::Write, Some(ready)) = (step.action, ready) else {
        return Ok(match step.action {
            Action::Keep => unchanged(id),
            // What it needs is part of the plan and not written yet.
            Action::Write => {
                let sent = step.object.value();
                match before_its_cure(session, known, step).await? {
                    Some(before) => {
                        let after = Some(laid_over(&before, sent));
                        Foreseen { id, change: Change::Configured, before: Some(before), after }
                    }
                    None => {
                        let after = Some(sent.clone());
                        Foreseen { id, change: Change::Created, before: None, after }
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
        return Ok(Foreseen { id, change: Change::Created, before: None, after: Some(after) });
    }
    if step.only_if_absent {
        return Ok(unchanged(id));
    }
    let resource = Arc::clone(&ready.resource);
    let before: Value = match session.get(&resource, &step.id).await {
        Ok(answer) => answer.json()?,
        Err(error) if error.is_not_found() => {
            return Ok(Foreseen { id, change: Change::Created, before: None, after: Some(after) });
        }
        Err(error) => return Err(error),
    };
    if !ready.recreate && differing_paths(&before, &after).is_empty() {
        return Ok(unchanged(id));
    }
    let change = if ready.recreate { Change::Recreated } else { Change::Configured };
    Ok(Foreseen { id, change, before: Some(before), after: Some(after) })
}

/// The live object of a step that is refused as long as the plan is not carried out.
async fn before_its_cure(session: &Session, known: &Known, step: &Step) -> Result<Option<Value>, ApiError> {
    let Some(resource) = known.served(&step.id.group_kind(), &step.version) else { return Ok(None) };
    match session.get(&resource, &step.id).await {
        Ok(answer) => answer.json().map(Some),
        Err(ApiError::NotServed { .. }) => Ok(None),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}
