//! The approval of the plan of a new revision: between the dry run and the first write.

use jiff::Timestamp;

use super::Accepted;
use super::changes::changes;
use crate::api::plan::{MAX_PLANNED, OutdatedApproval, PlanApproval, PlanCounts, PlanStatus};
use crate::api::reason::Reason;
use crate::cluster::inventory::{StoredPlan, plan_name};
use crate::domain::gate::{self, Blocker, Facts, PlanFacts, WakeOn};
use crate::domain::outcome::Outcome;
use crate::domain::plan::changeset::{
    ChangeSet, KnownChanges, PlanDetail, PlanInputs, PlanKey, PlanToken, changes_digest, differences_since,
    entries, is_left_of,
};
use crate::domain::plan::removal::removal_record;
use crate::domain::release::approval::ApprovalPolicy;
use crate::domain::status::{self, whole_seconds};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::approval::{AwaitedApproval, SeenObjects};
use crate::reconcile::error::{ReconcileError, chain, failure};
use crate::reconcile::scope::revision::Update;
use crate::reconcile::scope::{Scope, Trigger};

/// How much of a plan is in the status.
const SHORT: PlanDetail = PlanDetail { changes: MAX_PLANNED, fields: 10, value: 60, bytes: 100 << 10 };
/// How much is in the ConfigMap, which holds 1 MiB.
const WHOLE: PlanDetail =
    PlanDetail { changes: usize::MAX, fields: usize::MAX, value: usize::MAX, bytes: 800 << 10 };

/// Whether a run needs to know what exactly its plan changes.
pub fn is_needed(scope: &Scope<'_>, update: &Update<'_>) -> bool {
    match &scope.release.approval {
        ApprovalPolicy::Automatic => false,
        ApprovalPolicy::Exactly(_) => true,
        ApprovalPolicy::Manual { .. } => is_awaited(scope, update),
    }
}

/// Whether a run applies a new revision, which a person has to approve: not one that is applied
/// already, or that the release goes back to.
fn is_awaited(scope: &Scope<'_>, update: &Update<'_>) -> bool {
    let Update { ledger, revision, .. } = update;
    let is_new = !ledger.has_all_of(revision.digest.as_str(), &revision.key) && revision.way_back().is_none();
    scope.policy.repeats && scope.trigger != Trigger::Restore && is_new
}

/// The approved plan of the revision, if an earlier run has begun it.
///
/// # Errors
/// When the whole plan cannot be read.
pub async fn begun(scope: &Scope<'_>, update: &Update<'_>) -> Result<Option<PlanStatus>, ReconcileError> {
    let status = scope.status();
    let is_it = |plan: &&PlanStatus| plan.approved.as_ref().is_some_and(|a| a.key == update.revision.key);
    match status.plan.as_ref().filter(is_it) {
        Some(plan) => Ok(Some(whole(scope, plan).await?)),
        None => Ok(None),
    }
}

/// The changes of the plan before, if it was of the same revision.
async fn known(scope: &Scope<'_>, update: &Update<'_>) -> Result<KnownChanges, ReconcileError> {
    let status = scope.status();
    match status.plan.as_ref().filter(|plan| plan.revision == update.revision.name) {
        Some(plan) => Ok(KnownChanges::of(&whole(scope, plan).await?.changes)),
        None => Ok(KnownChanges::default()),
    }
}

/// A plan of the status with all of its changes, as far as they are stored and are what was stored.
async fn whole(scope: &Scope<'_>, plan: &PlanStatus) -> Result<PlanStatus, ReconcileError> {
    let mut plan = plan.clone();
    if plan.more_changes.is_some() {
        let stored = scope.env.session.read_plan(&scope.release.id).await?;
        let is_whole = |changes: &str| plan.changes_digest.as_deref() == Some(&changes_digest(changes));
        let all = stored.filter(|stored| is_whole(&stored.changes));
        // Without it, only what the status lists counts as approved.
        let all = all.and_then(|stored| serde_json::from_str(&stored.changes).ok());
        plan.changes = all.unwrap_or(plan.changes);
    }
    Ok(plan)
}

/// Waits on with a plan that was made before, if nothing has changed since.
///
/// # Errors
/// That the revision still waits for approval.
pub fn still_waits(
    scope: &Scope<'_>,
    caches: &Caches,
    update: &Update<'_>,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    let inventory = &caches.cluster.inventory;
    let Some(awaited) = &caches.rollout.approval else { return Ok(()) };
    let status = scope.status();
    let published = status.plan.as_ref().filter(|plan| plan.hash == awaited.hash);
    let same = is_needed(scope, update)
        && !scope.is_asked
        && awaited.key == update.revision.key
        && awaited.generation == scope.release.generation
        && awaited.given == scope.release.approved
        && awaited.counts_from.is_none_or(|from| Timestamp::now() < from)
        && awaited.seen == SeenObjects::of(&caches.cluster);
    let Some(plan) = published.filter(|_| same) else { return Ok(()) };
    outcome.artifact = Some(update.revision.artifact());
    outcome.entries = Some(inventory.entries.len());
    outcome.plan = Some(plan.clone());
    outcome.wake_at = awaited.counts_from;
    let wake_on = awaited.counts_from.map_or(WakeOn::Release, WakeOn::Time);
    Err(ReconcileError::Waiting(awaited.blocker.clone(), wake_on))
}

/// Lets a plan pass that a person has approved, or that needs no approval.
///
/// # Errors
/// That it waits for approval, or is not the plan that it has to be.
pub async fn approve<'a>(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    mut accepted: Accepted<'a>,
    outcome: &mut Outcome,
) -> Result<Accepted<'a>, ReconcileError> {
    if !is_needed(scope, update) {
        if scope.trigger != Trigger::Restore {
            caches.rollout.approval = None;
        }
        return Ok(accepted);
    }
    let inputs = PlanInputs::of(scope.release, update.revision.digest.as_str());
    if let ApprovalPolicy::Exactly(token) = &scope.release.approval {
        let key = PlanKey::of_salt(&token.salt);
        let plan = compared(scope, update, &mut accepted, &key, &KnownChanges::default()).await?;
        is_it(token, plan.hash(&key, &inputs))?;
    } else {
        let (release, env) = (scope.release, scope.env);
        let key = env.plan_keys.of(&env.session, &release.id, &release.uid).await?;
        let known = known(scope, update).await?;
        let plan = compared(scope, update, &mut accepted, &key, &known).await?;
        let left = begun(scope, update).await?.is_some_and(|approved| is_left_of(&plan, &approved.changes));
        if !left {
            let hash = plan.hash(&key, &inputs);
            let plan = published(scope, update, &plan, hash).await?;
            decide(scope, caches, update, plan, outcome).await?;
        }
    }
    Ok(accepted)
}

/// The changes of a plan. Its answers are not needed any more then, and may be large.
async fn compared(
    scope: &Scope<'_>,
    update: &Update<'_>,
    accepted: &mut Accepted<'_>,
    key: &PlanKey,
    known: &KnownChanges,
) -> Result<ChangeSet, ReconcileError> {
    let plan = changes(scope, update.session, accepted, key, known).await?;
    accepted.preflight.ready.values_mut().for_each(|ready| ready.answer = None);
    Ok(plan)
}

fn is_it(token: &PlanToken, hash: String) -> Result<(), ReconcileError> {
    if hash == token.hash {
        return Ok(());
    }
    let now = PlanToken { salt: token.salt.clone(), hash };
    let message = format!(
        "nothing applied, the plan is another one now: {now}; show it with `supercargo plan` and the same arguments"
    );
    Err(failure(Reason::ApprovalRequired, message).into())
}

/// The plan as the status has it. All of it is written into the ConfigMap first.
async fn published(
    scope: &Scope<'_>,
    update: &Update<'_>,
    plan: &ChangeSet,
    hash: String,
) -> Result<PlanStatus, ReconcileError> {
    let (release, before) = (scope.release, scope.status());
    let before = before.plan.as_ref();
    let counts = plan.counts();
    let (listed, more) = entries(plan, SHORT);
    let same = before.filter(|known| known.hash == hash);
    let now = whole_seconds(Timestamp::now()).to_string();
    let mut found = PlanStatus {
        revision: update.revision.name.clone(),
        since: same.map_or(now, |known| known.since.clone()),
        changes: listed,
        more_changes: (more > 0).then(|| i32::try_from(more).unwrap_or(i32::MAX)),
        counts,
        hash,
        ..PlanStatus::default()
    };
    found.changed_since = outdated(scope, before, &found);
    if let Some(known) = same {
        (found.config_map, found.changes_digest) = (known.config_map.clone(), known.changes_digest.clone());
    } else if found.counts != PlanCounts::default() {
        let (all, more) = entries(plan, WHOLE);
        // Plain structures always serialize.
        let changes = serde_json::to_string(&all).unwrap_or_default();
        drop(all);
        let digest = changes_digest(&changes);
        let stored = StoredPlan { hash: found.hash.clone(), changes, more };
        let written = scope.env.session.write_plan(&release.id, &release.uid, &stored).await;
        let is_written = written.map_err(|error| {
            let message =
                format!("cannot write ConfigMap {}: {}", plan_name(&release.id.name), chain(&error));
            failure(error.reason(), message)
        })?;
        if is_written {
            (found.config_map, found.changes_digest) = (Some(plan_name(&release.id.name)), Some(digest));
        }
    }
    Ok(found)
}

/// The approval that does not fit the plan, and what differs from the approved plan.
fn outdated(scope: &Scope<'_>, before: Option<&PlanStatus>, now: &PlanStatus) -> Option<OutdatedApproval> {
    let given = scope.release.approved.as_ref().filter(|given| given.hash != now.hash)?;
    let before = before?;
    if before.hash == given.hash {
        let differences = differences_since(before, now);
        return Some(OutdatedApproval { hash: given.hash.clone(), differences });
    }
    before.changed_since.clone().filter(|known| known.hash == given.hash)
}

/// Asks the gate. An approved plan is recorded as such before anything of it is written.
async fn decide(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    mut plan: PlanStatus,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    let (release, now) = (scope.release, Timestamp::now());
    let outdated = plan.changed_since.as_ref();
    let outdated =
        outdated.map(|known| (known.hash.as_str(), known.differences.first().map_or("", String::as_str)));
    let facts = PlanFacts { revision: &plan.revision, hash: &plan.hash, counts: &plan.counts, outdated, now };
    let decision = gate::decide(&Facts { plan: Some(facts), ..scope.facts() });
    if let Err(error) = ReconcileError::from_gate(decision) {
        if let ReconcileError::Waiting(blocker, wake_on) = &error {
            let awaited = awaited(scope, caches, update, &plan, (blocker, wake_on));
            outcome.wake_at = awaited.counts_from;
            caches.rollout.approval = Some(Box::new(awaited));
        }
        outcome.artifact = Some(update.revision.artifact());
        outcome.entries = Some(caches.cluster.inventory.entries.len());
        outcome.plan = Some(plan);
        return Err(error);
    }
    caches.rollout.approval = None;
    if plan.counts == PlanCounts::default() {
        return Ok(());
    }
    let at = whole_seconds(now).to_string();
    let by = release.approved.as_ref().and_then(|given| given.by.clone());
    plan.changed_since = None;
    // What it removes is approved with it, also for a run that finishes it.
    let removal = release.approved.as_ref().map(|given| removal_record(&given.hash, &update.revision.key));
    plan.approved = Some(PlanApproval { at, by, key: update.revision.key.clone() });
    let message = format!("Applying the approved plan of revision {}", plan.revision);
    let before = scope.status();
    let mut status = status::waiting(&before, release, Some(&update.revision.name), &message, now);
    (status.plan, status.approved_removal) = (Some(plan), removal);
    Ok(scope.write_status(status).await?)
}

fn awaited(
    scope: &Scope<'_>,
    caches: &Caches,
    update: &Update<'_>,
    plan: &PlanStatus,
    (blocker, wake_on): (&Blocker, &WakeOn),
) -> AwaitedApproval {
    AwaitedApproval {
        key: update.revision.key.clone(),
        generation: scope.release.generation,
        hash: plan.hash.clone(),
        given: scope.release.approved.clone(),
        blocker: blocker.clone(),
        counts_from: if let WakeOn::Time(from) = wake_on { Some(*from) } else { None },
        seen: SeenObjects::of(&caches.cluster),
    }
}
