//! Objects that other releases have: which of them a release may wait for, and
//! what it is told of the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::reason::Reason;
use crate::cluster::discovery::Known;
use crate::cluster::session::Session;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Conflict, Live, Plan, Step};
use crate::reconcile::driver::{Ended, Run};
use crate::reconcile::env::Context;
use crate::reconcile::live::view::View;
use crate::reconcile::phase::preflight::Preflight;
use crate::reconcile::phase::work::{refused, together};

/// Refuses a plan that has conflicts. What the release may write of it, it waits for
/// from now on; what it may not write is none of its business.
pub async fn refuse(
    run: &Run<'_>,
    session: &Session,
    known: &Known,
    (plan, live): (&Plan, &View<'_>),
) -> Result<(), Ended> {
    if plan.conflicts.is_empty() {
        return Ok(());
    }
    let contested: BTreeSet<&ObjectId> = plan.conflicts.iter().map(|c| &c.id).collect();
    let steps: Vec<&Step> = plan.steps.iter().filter(|s| contested.contains(&s.id)).collect();
    let failures = Preflight::new(session, run.release, plan).trial(&steps, known).await;
    if failures.iter().any(|f| f.reason == Reason::ApiServerUnavailable) {
        return Err(refused(&failures));
    }
    let (denied, wrong): (Vec<ObjectFailure>, Vec<ObjectFailure>) =
        failures.into_iter().partition(|f| f.reason == Reason::AccessDenied);
    let is_of = |failures: &[ObjectFailure], id: &ObjectId| failures.iter().any(|f| f.id == *id);
    let may: Vec<&Conflict> = plan.conflicts.iter().filter(|c| !is_of(&denied, &c.id)).collect();
    let wanted = may.iter().map(|c| &c.id).filter(|id| !is_of(&wrong, id));
    run.context.wake(run.context.claims.want(&run.release.id, wanted));
    wake_if_free(run, &may, |conflict| live.claims(&conflict.owner, &conflict.id));
    if may.is_empty() {
        return Err(refused(&denied));
    }
    Err(told(run, session, &may, denied).await)
}

/// Refuses what another release has come first with. A dry run has accepted all of it.
pub async fn taken(run: &Run<'_>, session: &Session, conflicts: &[Conflict]) -> Ended {
    run.context.wake(run.context.claims.want(&run.release.id, conflicts.iter().map(|c| &c.id)));
    let all: Vec<&Conflict> = conflicts.iter().collect();
    let claims = &run.context.claims;
    wake_if_free(run, &all, |conflict| claims.names(&conflict.owner, &conflict.id) == Some(true));
    told(run, session, &all, Vec::new()).await
}

/// Nobody tells of what its owner let go before this release waited for it: then the
/// release looks again at once.
fn wake_if_free(run: &Run<'_>, conflicts: &[&Conflict], is_claimed: impl Fn(&Conflict) -> bool) {
    let is_reserved = |c: &Conflict| run.context.claims.reserved(&c.id).as_ref() == Some(&c.owner);
    if conflicts.iter().any(|conflict| !is_claimed(conflict) && !is_reserved(conflict)) {
        run.context.wake([run.release.id.clone()]);
    }
}

async fn told(
    run: &Run<'_>,
    session: &Session,
    conflicts: &[&Conflict],
    denied: Vec<ObjectFailure>,
) -> Ended {
    let owners: BTreeSet<&ReleaseId> = conflicts.iter().map(|c| &c.owner).collect();
    let mut names = BTreeMap::new();
    for owner in owners {
        // Of an inventory that cannot be read it is not known; releases are what
        // there is more of.
        let stored = run.context.session.read_inventory(owner).await;
        let by_hand = stored.is_ok_and(|s| s.exists() && !s.operators);
        names.insert(owner, name(run.context, session, &run.release.id, owner, by_hand).await);
    }
    let failures = conflicts.iter().map(|c| {
        let owner = names.get(&c.owner).map_or("another release", String::as_str);
        let message = format!("{owner} has it: take it out of one of the two");
        ObjectFailure { id: c.id.clone(), reason: Reason::OwnershipConflict, message }
    });
    let failures = failures.chain(denied).collect();
    together(Reason::OwnershipConflict, "nothing was written, others have", failures)
}

/// What another release, or an inventory of a person, is called where this release is
/// told of it.
pub async fn name(
    context: &Context,
    session: &Session,
    me: &ReleaseId,
    owner: &ReleaseId,
    by_hand: bool,
) -> String {
    let kind = if by_hand { "inventory" } else { "release" };
    match may_know(context, session, me, owner, by_hand).await {
        true => format!("the {kind} {owner}"),
        false => format!("another {kind}"),
    }
}

/// Whether this release is told the name of another. Names tell what others run: of
/// another namespace only those are told that the release's account may read.
pub async fn may_know(
    context: &Context,
    session: &Session,
    me: &ReleaseId,
    owner: &ReleaseId,
    by_hand: bool,
) -> bool {
    owner.namespace == me.namespace
        || *session.identity() == *context.session.identity()
        || match by_hand {
            true => session.may_read_inventory(owner).await,
            false => session.may_read_release(owner).await,
        }
        // Who cannot find out is told less.
        .unwrap_or(false)
}
