//! Writes new objects into the inventory before they are created.

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::cluster::inventory::{FinalizerPolicy, StoreError};
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{BegunRollout, Inventory};
use crate::domain::outcome::Note;
use crate::domain::plan::Action;
use crate::domain::plan::removal::is_recorded_for;
use crate::domain::release::Release;
use crate::domain::release::approval::ApprovalPolicy;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::{ReconcileError, chain, failure};
use crate::reconcile::phase::inventory::finalizer_policy;
use crate::reconcile::phase::plan::ownership::check_taken;
use crate::reconcile::phase::preflight::Accepted;
use crate::reconcile::scope::revision::{Revision, Update};
use crate::reconcile::scope::{Scope, Trigger};

/// An accepted plan whose objects are in the inventory.
pub struct Claimed<'a> {
    /// The plan.
    pub accepted: Accepted<'a>,
    /// Whether it only puts back what the inventory is the complete result of.
    pub puts_back: bool,
    /// What a person should know.
    pub notes: Vec<Note>,
}

/// Writes the inventory ahead of the objects.
///
/// # Errors
/// When it cannot be written, or another release was first.
pub async fn claim<'a>(
    scope: &Scope<'_>,
    cache: &mut ClusterCache,
    update: &Update<'_>,
    accepted: Accepted<'a>,
) -> Result<Claimed<'a>, ReconcileError> {
    let Scope { env, release, .. } = *scope;
    let Update { session, revision, .. } = *update;
    let (plan, preflight) = (&accepted.planned.plan, &accepted.preflight);
    let puts_back =
        release.drift == DriftMode::Correct && plan.only_puts_back(&revision.key, &cache.inventory);
    // Deferred steps may never be accepted: their objects are not reserved yet.
    let taken = env.target.claims.reserve(&release.id, preflight.ready.keys());
    // Another release may have been first since the plan was made.
    check_taken(scope, session, &taken).await?;
    let finalizer = finalizer_policy(scope, cache);
    let Some(mut stored) = cache.stored.take() else { return Err(ReconcileError::InventoryConflict) };
    let mut notes = Vec::new();
    if stored.exists() && !stored.operators && finalizer == FinalizerPolicy::Set {
        notes.push(Note {
            reason: Reason::InventoryAdopted,
            message: format!(
                "Took over the inventory of the same name that the command line wrote, with {} objects",
                stored.inventory.entries.len()
            ),
        });
    }
    let recreated = |id: &ObjectId| preflight.ready.get(id).is_some_and(|r| r.recreate);
    // Steps are named when they are run.
    let applied = plan.steps.iter().filter(|s| s.once.is_none());
    let expected = applied.map(|s| {
        // A deferred step may turn out to need recreation later.
        let asked = s.force.unwrap_or(release.force || s.id.is("batch", "Job"));
        let may_be = asked && preflight.deferred.contains(&s.id);
        // The dry run may have shown more than the watches.
        let same = || {
            let ready = preflight.ready.get(&s.id).filter(|ready| !ready.recreate);
            let live = ready.and_then(|ready| ready.live.as_ref()).map(|(uid, _)| uid);
            live.is_some() && live == stored.inventory.entries.get(&s.id).and_then(|e| e.uid.as_ref())
        };
        let anew = s.action == Action::Write && (s.anew && !same() || recreated(&s.id) || may_be);
        (&s.id, s.version.as_str(), anew)
    });
    let has_removal = is_recorded_for(scope.status().approved_removal.as_deref(), &revision.key);
    let has_person = has_removal || matches!(release.approval, ApprovalPolicy::Manual { .. });
    let named = has_person || release.guards.hold_arrivals();
    // Another process finishes a rollout that was let in, and does not undo it as drift.
    let undone = release.drift == DriftMode::Correct && (puts_back || !named);
    let writes = has_removal || plan.writes().next().is_some();
    let ahead = stored.inventory.with_expected(expected, puts_back);
    let ahead = ahead.or_else(|| stored.inventory.unsettled(writes, undone));
    let begun = begun_rollout(release, revision);
    let ahead = match scope.trigger {
        Trigger::Restore => ahead,
        // Another rollout may have been cut off before.
        Trigger::Full | Trigger::Objects => {
            let now = stored.inventory.whole().is_none() && stored.inventory.begun.as_ref() != Some(&begun);
            let ahead = ahead.or_else(|| now.then(|| Inventory::clone(&stored.inventory)));
            ahead.map(|ahead| ahead.with_begun(&begun, cache.built.as_deref()))
        }
    };
    if let Some(mut ahead) = ahead {
        ahead.chart = cache.chart_of(&revision.key).cloned();
        let written = env.session.write_inventory(&release.id, &mut stored, ahead, finalizer).await;
        if let Err(error) = written {
            // It does not write any more.
            env.wake(env.target.claims.publish(&release.id, &cache.inventory));
            return Err(unwritten(scope, error));
        }
    }
    cache.remember(env, &release.id, stored);
    Ok(Claimed { accepted, puts_back, notes })
}

/// The rollout of a revision, as the inventory names it.
pub fn begun_rollout(release: &Release, revision: &Revision) -> BegunRollout {
    BegunRollout {
        source: release.repository().to_owned(),
        revision: revision.name.clone(),
        key: revision.key.clone(),
    }
}

/// Adds how to create the namespace, if that is missing.
fn unwritten(scope: &Scope<'_>, error: StoreError) -> ReconcileError {
    match scope.policy.words.create_namespace.filter(|_| error.lacks_namespace()) {
        Some(flag) => {
            let message = format!("{} ({flag} creates it)", chain(&error));
            failure(error.reason(), message).into()
        }
        None => error.into(),
    }
}
