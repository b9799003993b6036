//! Objects of other releases: for which of them a release may wait, and the message about the
//! others.

use std::collections::{BTreeMap, BTreeSet};

use super::Planned;
use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::gate::ClaimConflicts;
use crate::domain::gate::{self, Facts};
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Conflict, Live, Step};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::live::owners;
use crate::reconcile::phase::preflight::dry_run::Preflight;
use crate::reconcile::phase::preflight::refusal::refused;
use crate::reconcile::scope::Scope;

/// Refuses a plan that has conflicts. The release waits for those objects that it may write; about
/// others it gets only the denial.
///
/// # Errors
/// The conflicts, or the denials if it may write none of them.
pub async fn check(
    scope: &Scope<'_>,
    session: &Session,
    planned: &Planned<'_>,
) -> Result<(), ReconcileError> {
    let Planned { discovery, plan, view, .. } = planned;
    if plan.conflicts.is_empty() {
        return Ok(());
    }
    let disputed: BTreeSet<&ObjectId> = plan.conflicts.iter().map(|c| &c.id).collect();
    let steps: Vec<&Step> = plan.steps.iter().filter(|s| disputed.contains(&s.id)).collect();
    let failures = Preflight::new(scope, session, plan).trial(&steps, discovery).await;
    if failures.iter().any(|f| f.reason.is_without_answer()) {
        return Err(refused(&failures));
    }
    let (denied, wrong): (Vec<ObjectFailure>, Vec<ObjectFailure>) =
        failures.into_iter().partition(|f| f.reason == Reason::AccessDenied);
    let is_of = |failures: &[ObjectFailure], id: &ObjectId| failures.iter().any(|f| f.id == *id);
    let may: Vec<&Conflict> = plan.conflicts.iter().filter(|c| !is_of(&denied, &c.id)).collect();
    // What another cluster manages is never handed over.
    let wanted = may.iter().filter(|c| c.elsewhere.is_none()).map(|c| &c.id);
    let wanted = wanted.filter(|id| !is_of(&wrong, id));
    scope.env.wake(scope.env.target.claims.want(&scope.release.id, wanted));
    wake_if_free(scope, &may, |conflict| view.claims(&conflict.owner, &conflict.id));
    if may.is_empty() {
        return Err(refused(&denied));
    }
    refuse(scope, session, &may, denied).await
}

/// Refuses objects that another release was first to create. A dry run has accepted all of them.
///
/// # Errors
/// The conflicts.
pub async fn check_taken(
    scope: &Scope<'_>,
    session: &Session,
    conflicts: &[Conflict],
) -> Result<(), ReconcileError> {
    if conflicts.is_empty() {
        return Ok(());
    }
    let claims = &scope.env.target.claims;
    scope.env.wake(claims.want(&scope.release.id, conflicts.iter().map(|c| &c.id)));
    let all: Vec<&Conflict> = conflicts.iter().collect();
    wake_if_free(scope, &all, |conflict| claims.names(&conflict.owner, &conflict.id) == Some(true));
    refuse(scope, session, &all, Vec::new()).await
}

/// There is no notification for objects that their owner gave up before this release waited for
/// them: then the release is requeued at once.
fn wake_if_free(scope: &Scope<'_>, conflicts: &[&Conflict], is_claimed: impl Fn(&Conflict) -> bool) {
    let is_reserved = |c: &Conflict| scope.env.target.claims.reserved(&c.id).as_ref() == Some(&c.owner);
    let is_here = |c: &&&Conflict| c.elsewhere.is_none();
    if conflicts.iter().filter(is_here).any(|conflict| !is_claimed(conflict) && !is_reserved(conflict)) {
        scope.env.wake([scope.release.id.clone()]);
    }
}

async fn refuse(
    scope: &Scope<'_>,
    session: &Session,
    conflicts: &[&Conflict],
    denied: Vec<ObjectFailure>,
) -> Result<(), ReconcileError> {
    let here = conflicts.iter().filter(|c| c.elsewhere.is_none());
    let owners: BTreeSet<&ReleaseId> = here.map(|c| &c.owner).collect();
    let mut names = BTreeMap::new();
    for owner in owners {
        // If the inventory cannot be read, the owner is taken for a release, which is more common.
        let stored = scope.env.session.read_inventory(owner).await;
        let manual = stored.is_ok_and(|s| s.exists() && !s.operators);
        names.insert(owner, owners::name(scope.env, session, &scope.release.id, owner, manual).await);
    }
    let named = |c: &&Conflict| {
        let owner = match &c.elsewhere {
            Some(from) => format!("a release that is managed from {from}"),
            None => names.get(&c.owner).cloned().unwrap_or_else(|| "another release".to_owned()),
        };
        (c.id.clone(), owner)
    };
    let claimed = ClaimConflicts { by_others: conflicts.iter().map(named).collect(), denied };
    let facts = Facts { claimed: Some(&claimed), ..scope.facts() };
    ReconcileError::from_gate(gate::decide(&facts))
}
