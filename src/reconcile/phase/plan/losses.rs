//! What a way back would lose: it is refused before anything is written.

use serde_json::Value;

use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::losses::{holds_data, unserved};
use crate::domain::plan::removal::PlannedRemoval;
use crate::reconcile::error::{ReconcileError, aggregate};
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::phase::plan::removal::Contents;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::Revision;

/// Refuses a way back that deletes what holds data, or takes versions from a definition. Only
/// definitions that it changes are read. Nothing else is checked: the API server does not let a
/// claim shrink.
///
/// # Errors
/// The objects, and what each would lose.
pub async fn check(
    scope: &Scope<'_>,
    session: &Session,
    revision: &Revision,
    planned: &Planned<'_>,
) -> Result<(), ReconcileError> {
    if revision.way_back().is_none() {
        return Ok(());
    }
    let Planned { plan, view, discovery, .. } = planned;
    let lost = |id: &ObjectId, message: String| {
        let (id, reason) = (id.clone(), Reason::PreflightFailed);
        ObjectFailure { id, reason, message }
    };
    let release = scope.release;
    let going = view.deleted(&release.id, release.prune, &plan.leaving);
    let data = going.iter().map(|(leaving, _)| &leaving.id).filter(|id| holds_data(id));
    let mut failures: Vec<ObjectFailure> =
        data.map(|id| lost(id, "it would be deleted".to_owned())).collect();
    // A Namespace that the failed revision has brought may hold what is of others by now.
    let spaces = going.into_iter().filter(|(leaving, _)| leaving.id.is("", "Namespace"));
    let removal = PlannedRemoval {
        objects: spaces.map(|(leaving, uid)| (leaving.id.clone(), uid)).collect(),
        ..PlannedRemoval::default()
    };
    let kept: Vec<&ObjectId> = plan.steps.iter().map(|step| &step.id).collect();
    let contents = Contents { session, discovery, me: &release.id, kept: &kept };
    let held = contents.losses(&removal).await?;
    failures
        .extend(held.iter().map(|held| lost(&held.id, format!("it would be deleted, and {}", held.words))));
    let definitions = plan.writes().filter(|s| s.id.is("apiextensions.k8s.io", "CustomResourceDefinition"));
    for step in definitions {
        let Some(resource) = discovery.served(&step.id.group_kind(), &step.version) else { continue };
        let live: Value = match session.get(&resource, &step.id).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        let versions = unserved(&live, step.object.value());
        if !versions.is_empty() {
            failures.push(lost(&step.id, format!("it would not serve {} any more", versions.join(", "))));
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(aggregate(Reason::PreflightFailed, "nothing applied, going back would lose", failures)),
    }
}
