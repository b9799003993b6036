//! The end of a run: writes the inventory, and fills the outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::api::status::Changes;
use crate::cluster::inventory::{FinalizerPolicy, StoreError};
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Extent, Fate, Provenance, settle as settled_by};
use crate::domain::ledger::{KnownRevision, is_wanted};
use crate::domain::message::List;
use crate::domain::outcome::{Note, Outcome, Verdict};
use crate::domain::plan::Plan;
use crate::domain::release::Release;
use crate::domain::verdict::{FailureClass, classify};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::live::in_sync::in_sync;
use crate::reconcile::live::view::View;
use crate::reconcile::phase::apply::Applied;
use crate::reconcile::phase::apply::executed::Executed;
use crate::reconcile::phase::claim::begun_rollout;
use crate::reconcile::phase::inventory::finalizer_policy;
use crate::reconcile::phase::plan::drift::corrected_message;
use crate::reconcile::phase::prune::Pruned;
use crate::reconcile::scope::revision::{Revision, Update};
use crate::reconcile::scope::{Scope, Trigger};

/// Writes the settled inventory and fills the outcome.
///
/// # Errors
/// When the inventory cannot be written: the outcome still has what was done.
pub async fn settle(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    pruned: Pruned<'_>,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    let Update { session, revision, .. } = *update;
    let extent = extent(scope, revision, &pruned);
    let Pruned { applied: Applied { planned, executed, .. }, complete, held_up } = pruned;
    let Executed { fates, changes, failures, notes, corrected, health, ended, applied, .. } = executed;
    outcome.applied = applied;
    outcome.health = health;
    outcome.notes.extend(notes);
    let wrote = changes.created + changes.configured + changes.pruned + changes.failed > 0;
    if wrote || !caches.cluster.is_settled(&revision.key) {
        outcome.changes = Some(changes);
    }
    count(scope, outcome.changes.as_ref(), corrected.len());
    if !corrected.is_empty() {
        let message = corrected_message(&corrected);
        outcome.notes.push(Note { reason: Reason::DriftCorrected, message });
    }
    let settled = Settled { fates: &fates, extent, revision, applied };
    let written = write(scope, &mut caches.cluster, settled).await?;
    outcome.entries = caches.cluster.stored.as_ref().map(|stored| stored.inventory.entries.len());
    if scope.policy.repeats {
        // The kinds that are new in the inventory are watched from now on.
        let discovery = session.discovery().await?;
        let inventory = Arc::clone(&caches.cluster.inventory);
        View::of(scope.env, session, &mut caches.cluster, &discovery, inventory.entries.keys()).await?;
    }
    let backing_off = caches.drift.next_correction(Timestamp::now()).is_some();
    if outcome.drift.is_none() && scope.release.drift != DriftMode::Off && complete && !backing_off {
        outcome.drift = Some(in_sync(scope.release, &caches.cluster));
    }
    outcome.failures = failures;
    match ended {
        Some(error) => error.fold_into(outcome)?,
        None => {
            outcome.verdict = applied_verdict(scope, &caches.cluster, &planned.plan, revision, held_up);
        }
    }
    match &outcome.verdict {
        Verdict::Superseded => {
            let cut = outcome.changes.take().unwrap_or_default();
            caches.rollout.progress.cut_short(&cut, revision, scope.release.generation);
        }
        verdict => {
            let well = matches!(verdict, Verdict::Ready { .. });
            outcome.changes = caches.rollout.progress.end(outcome.changes.take(), well);
        }
    }
    if let Some(checkup) = &mut caches.rollout.checkup {
        // Objects that are not ours are not watched after the wait.
        let inventory = &caches.cluster.inventory;
        checkup.retain(|id| inventory.claims(id));
        if let Verdict::Ready { message } = &outcome.verdict {
            checkup.ready.clone_from(message);
        }
    }
    Ok(written?)
}

/// How much of the revision the inventory has.
fn extent(scope: &Scope<'_>, revision: &Revision, pruned: &Pruned<'_>) -> Extent {
    let Pruned { applied: Applied { planned, puts_back, executed }, complete, .. } = pruned;
    let was_complete = planned.was_complete;
    let superseded = matches!(executed.ended, Some(ReconcileError::Superseded(_)));
    // The remaining drift is still visible, and is corrected later even if the release then wants a
    // revision that is unavailable.
    let stays = *puts_back && (superseded || !executed.applied);
    let whole = executed.applied && executed.fates.values().all(|fate| *fate != Fate::NotAttempted);
    let key = || revision.key.clone();
    match () {
        // A drift correction does not wait for health, and does not end a rollout.
        () if *complete && (scope.trigger != Trigger::Restore || was_complete) => Extent::Complete(key()),
        () if stays && was_complete => Extent::Complete(key()),
        () if whole || stays => Extent::Written(key()),
        () => Extent::Partial,
    }
}

/// What a run leaves in the cluster.
struct Settled<'a> {
    fates: &'a BTreeMap<ObjectId, Fate>,
    extent: Extent,
    revision: &'a Revision,
    /// Whether every object of the revision was applied.
    applied: bool,
}

/// Writes the settled inventory if it has changed. An apply of the command line changes at least
/// its time.
async fn write(
    scope: &Scope<'_>,
    cache: &mut ClusterCache,
    settled: Settled<'_>,
) -> Result<Result<(), StoreError>, ReconcileError> {
    let Settled { fates, extent, revision, applied } = settled;
    let finalizer = finalizer_policy(scope, cache);
    let Some(mut stored) = cache.stored.take() else { return Err(ReconcileError::InventoryConflict) };
    let mut settled = settled_by(&stored.inventory, fates, extent);
    if scope.trigger != Trigger::Restore {
        settled = settled.with_begun(&begun_rollout(scope.release, revision), cache.built.as_deref());
        // Without new objects, nothing was written ahead.
        settled.chart = cache.chart_of(&revision.key).cloned();
    }
    let settled = cache.mark_ended(&settled).unwrap_or(settled);
    let adopted = stored.exists() && finalizer == FinalizerPolicy::Set && !stored.operators;
    let mut written = Ok(());
    // A drift correction does not change the provenance.
    let applied = Some(revision).filter(|_| applied && scope.trigger != Trigger::Restore);
    let from = applied.map(|revision| provenance(scope.release, revision));
    let renamed = from.as_ref().is_some_and(|from| {
        from.source == stored.provenance.source && from.revision != stored.provenance.revision
    });
    let recorded = scope.policy.records_each_apply && applied.is_some();
    if settled != *stored.inventory || adopted || renamed || recorded {
        if let Some(from) = from {
            stored.provenance = from;
        }
        written = scope.env.session.write_inventory(&scope.release.id, &mut stored, settled, finalizer).await;
    }
    cache.remember(scope.env, &scope.release.id, stored);
    if written.is_err() {
        // The state in the cluster is unknown: it is read again.
        cache.stored = None;
    }
    Ok(written)
}

/// The provenance of a revision, for its inventory.
fn provenance(release: &Release, revision: &Revision) -> Provenance {
    let applied_at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match &release.provenance {
        Some(given) => Provenance { applied_at, ..given.clone() },
        None => {
            let source = release.repository().to_owned();
            let artifacts = vec![format!("{source}@{}", revision.digest)];
            Provenance {
                source,
                revision: revision.name.clone(),
                artifacts,
                applied_at,
                ..Provenance::default()
            }
        }
    }
}

/// The Ready message: what is applied, and what is still being deleted.
fn applied_verdict(
    scope: &Scope<'_>,
    cache: &ClusterCache,
    plan: &Plan,
    revision: &Revision,
    held_up: Option<String>,
) -> Verdict {
    let wanted: BTreeSet<&ObjectId> = plan.steps.iter().map(|s| &s.id).collect();
    let (applied, going): (Vec<_>, Vec<_>) = cache.inventory.claimed().partition(|id| wanted.contains(id));
    let rest = match (held_up, going.as_slice()) {
        (Some(held_up), _) => format!("; {held_up}"),
        (None, []) => String::new(),
        (None, going) => format!("; still deleting {}", List::Names.few(going, 1)),
    };
    verdict(scope.release, revision, applied.len(), &rest)
}

/// Completes the outcome of a way back: what it has gone back from, and, while it is retried, that
/// the run goes back.
pub fn way_back(revision: &Revision, outcome: &mut Outcome) {
    let Some((key, held)) = revision.way_back() else { return };
    outcome.way_back = Some(key.to_owned());
    let is_retried = classify(outcome) == FailureClass::Environment;
    if let Verdict::Failed { message, .. } = &mut outcome.verdict
        && is_retried
    {
        *message = format!("Going back from {} to {}: {message}", held.revision, revision.name);
    }
}

/// The outcome of a run without changes.
pub fn no_op(scope: &Scope<'_>, caches: &mut Caches, revision: &Revision) -> Outcome {
    let cluster = &caches.cluster;
    // While a correction is delayed, the condition stays.
    let backing_off = caches.drift.next_correction(Timestamp::now()).is_some();
    let drift =
        (scope.release.drift != DriftMode::Off && !backing_off).then(|| in_sync(scope.release, cluster));
    let mut outcome = Outcome {
        verdict: verdict(scope.release, revision, cluster.inventory.claimed().count(), ""),
        artifact: Some(revision.artifact()),
        entries: Some(cluster.inventory.entries.len()),
        drift,
        applied: true,
        ..Outcome::default()
    };
    if let Some(checkup) = &mut caches.rollout.checkup {
        checkup.report(&mut outcome);
    }
    outcome
}

/// Ready, also if the registry is unavailable, but not if it has refused the request.
fn verdict(release: &Release, revision: &Revision, entries: usize, rest: &str) -> Verdict {
    let objects = if entries == 1 { "1 object".to_owned() } else { format!("{entries} objects") };
    let mut message = format!("Applied {objects} of revision {}{rest}", revision.name);
    if let Some((_, held)) = revision.way_back() {
        return Verdict::Failed { reason: Reason::RolledBack, message: held.message.clone() };
    }
    if let Some(pin) = &release.pin {
        message.push_str(&format!("; {}", pin.describe()));
    }
    if let Some(held) = &revision.held {
        message.push_str(&format!("; {}", held.message));
    }
    if let Some(stray) = &revision.stray {
        message.push_str(&format!("; {stray}"));
    }
    let attempted =
        || KnownRevision { name: revision.name.clone(), digest: revision.digest.as_str().to_owned() };
    match &revision.stale {
        None => Verdict::Ready { message },
        Some((Reason::RegistryUnavailable, why)) if is_wanted(release, &attempted()) => {
            Verdict::Ready { message: format!("{message}; cannot check for updates: {why}") }
        }
        Some((reason, why)) => Verdict::Failed {
            reason: *reason,
            message: format!("{why}; revision {} keeps running", revision.name),
        },
    }
}

fn count(scope: &Scope<'_>, changes: Option<&Changes>, corrected: usize) {
    use crate::observe::labels::Action as Label;
    let metrics = &scope.env.metrics;
    metrics.drift_corrected(corrected);
    let Some(changes) = changes else { return };
    let counts = [
        (Label::Created, changes.created),
        (Label::Configured, changes.configured),
        (Label::Unchanged, changes.unchanged),
        (Label::Pruned, changes.pruned),
        (Label::Failed, changes.failed),
    ];
    for (label, count) in counts {
        metrics.objects(label, usize::try_from(count).unwrap_or_default());
    }
}
