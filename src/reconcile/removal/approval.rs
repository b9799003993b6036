//! The approval of the deletion of a release.

use std::sync::Arc;

use crate::api::keys;
use crate::api::reason::Reason;
use crate::api::status::ReleaseStatus;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::message::List;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::removal::{PlannedRemoval, is_recorded_for, removal_record};
use crate::domain::plan::{Leaving, Live};
use crate::domain::prune::deleted;
use crate::reconcile::cache::held::HeldCache;
use crate::reconcile::error::{ReconcileError, RunFailure};
use crate::reconcile::live::view::View;
use crate::reconcile::phase::plan::removal::Contents;
use crate::reconcile::scope::Scope;

/// How many objects a message names.
const NAMED: usize = 3;

/// Whether the status records that the deletion of the release is approved.
pub fn is_recorded(status: &ReleaseStatus, uid: &str) -> bool {
    is_recorded_for(status.approved_removal.as_deref(), uid)
}

/// Checks that a person has approved the deletion of exactly these objects. The status records the
/// approval before the first of them is deleted, so that a deletion that has begun is finished.
///
/// # Errors
/// That it is not approved, or that the status cannot be written.
pub async fn check(
    scope: &Scope<'_>,
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    leaving: &[Leaving],
    view: &View<'_>,
    cache: &mut HeldCache,
) -> Result<(), ReconcileError> {
    let (release, status) = (scope.release, scope.status());
    let approved = release.approved.as_ref().map(|given| given.hash.as_str());
    // A deleted release gets no more objects: what is left was approved with the rest.
    if is_recorded(&status, &release.uid) {
        return Ok(());
    }
    // What another release takes over counts, too: if it does not, it is deleted without another approval.
    let nobody = |_: &ObjectId| None;
    let going = deleted(&release.id, true, leaving, nobody, |id| view.record(id)).into_iter();
    let mut removal = PlannedRemoval {
        objects: going.map(|(leaving, uid)| (leaving.id.clone(), uid)).collect(),
        applied: leaving.len(),
        cause: release.uid.clone(),
        ..PlannedRemoval::default()
    };
    if removal.objects.is_empty() {
        return Ok(());
    }
    let contents = Contents { session, discovery, me: &release.id, kept: &[] };
    (removal.losses, _) = contents.known_losses(scope, cache, &removal).await?;
    let token = removal.token();
    if approved == Some(token.as_str()) {
        return Ok(scope.record_approved_removal(removal_record(&token, &release.uid)).await?);
    }
    let count = removal.objects.len();
    let s = if count == 1 { "" } else { "s" };
    let names = List::Names.few(removal.objects.iter().map(|(id, _)| id), NAMED);
    let lost: Vec<String> =
        removal.losses.iter().map(|loss| format!("; {} {}", loss.id, loss.words)).collect();
    let message = format!(
        "the deletion of the release would delete {count} object{s} ({names}){}; to delete them: `kubectl -n {} annotate \
         --overwrite oar {} {}={token}`, to keep them: set spec.deletionPolicy to Orphan",
        lost.iter().take(NAMED).cloned().collect::<String>(),
        release.id.namespace,
        release.id.name,
        keys::APPROVE,
    );
    let objects = removal.losses.iter().map(|loss| ObjectFailure {
        id: loss.id.clone(),
        reason: Reason::DeletionNotApproved,
        message: format!("would be deleted, and {}", loss.words),
    });
    let objects = objects.collect();
    let failed = RunFailure { objects, ..RunFailure::new(Reason::DeletionNotApproved, message) };
    Err(ReconcileError::Failed(Box::new(failed)))
}
