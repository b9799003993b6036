//! The end of a run that wrote: the inventory is settled, and the outcome says
//! what became of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::api::status::Changes;
use crate::cluster::inventory::{Hold, StoreError};
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Extent, Fate, Provenance, settle};
use crate::domain::outcome::{Note, Outcome, Verdict};
use crate::domain::plan::Plan;
use crate::domain::release::{Origin, Release};
use crate::reconcile::driver::{Ended, Revision, Run, Trigger};
use crate::reconcile::live::view::View;
use crate::reconcile::phase::apply::Executed;
use crate::reconcile::phase::plan::drift;

/// Settles the inventory and says what came of it all.
pub async fn conclude(
    run: &mut Run<'_>,
    session: &Session,
    plan: &Plan,
    revision: &Revision,
    executed: Executed,
    outcome: &mut Outcome,
) -> Result<(), Ended> {
    let Executed {
        fates,
        changes,
        failures,
        notes,
        corrected,
        health,
        ended,
        applied,
        complete,
        was_complete,
        puts_back,
        held_up,
        done: _,
        answers: _,
    } = executed;
    let superseded = matches!(&ended, Some(Ended::Failed(failed)) if failed.verdict == Verdict::Superseded);
    // What is left to put back shows, and stays to be put back should the release want a
    // revision meanwhile that cannot be had.
    let stays = puts_back && (superseded || !applied);
    let whole = applied && fates.values().all(|fate| *fate != Fate::NotAttempted);
    let key = || revision.key.clone();
    let extent = match () {
        // Who only puts back waits for nobody's health, and ends no rollout.
        () if complete && (run.trigger != Trigger::Restore || was_complete) => Extent::Complete(key()),
        () if stays && was_complete => Extent::Complete(key()),
        () if whole || stays => Extent::Written(key()),
        () => Extent::Partial,
    };
    outcome.applied = applied;
    outcome.health = health;
    outcome.notes.extend(notes);
    let wrote = changes.created + changes.configured + changes.pruned + changes.failed > 0;
    if wrote || run.memory.inventory.applied.as_deref() != Some(revision.key.as_str()) {
        outcome.changes = Some(changes);
    }
    record(run, outcome.changes.as_ref(), corrected.len());
    if !corrected.is_empty() {
        outcome
            .notes
            .push(Note { reason: Reason::DriftCorrected, message: drift::corrected_message(&corrected) });
    }
    let written = write_settled(run, &fates, extent, applied.then_some(revision)).await?;
    if run.release.origin == Origin::Resource {
        // The kinds that are new in the inventory are watched from now on.
        let known = session.known().await?;
        let inventory = Arc::clone(&run.memory.inventory);
        View::of(run.context, session, run.memory, &known, inventory.entries.keys()).await?;
    }
    let contested = run.memory.next_correction(Timestamp::now()).is_some();
    if outcome.drift.is_none() && run.release.drift != DriftMode::Off && complete && !contested {
        outcome.drift = Some(run.in_sync());
    }
    outcome.failures = failures;
    match ended {
        Some(Ended::Failed(failed)) => {
            outcome.verdict = failed.verdict;
            outcome.headline = failed.headline;
            if outcome.failures.is_empty() {
                outcome.failures = failed.failures;
            }
        }
        Some(Ended::Again) => return Err(Ended::Again),
        None => outcome.verdict = applied_verdict(run, plan, revision, held_up),
    }
    match &outcome.verdict {
        Verdict::Superseded => {
            let cut = outcome.changes.take().unwrap_or_default();
            run.memory.rollout.cut_short(&cut, revision, run.release.generation);
        }
        verdict => {
            let well = matches!(verdict, Verdict::Ready { .. });
            outcome.changes = run.memory.rollout.end(outcome.changes.take(), well);
        }
    }
    if let Some(checkup) = &mut run.memory.checkup {
        // What is not ours was waited for, and is not watched.
        let inventory = Arc::clone(&run.memory.inventory);
        checkup.retain(|id| inventory.claims(id));
        if let Verdict::Ready { message } = &outcome.verdict {
            checkup.ready.clone_from(message);
        }
    }
    Ok(written?)
}

/// Writes the settled inventory, where it says something new. What a person
/// applies says at least when.
async fn write_settled(
    run: &mut Run<'_>,
    fates: &BTreeMap<ObjectId, Fate>,
    extent: Extent,
    applied: Option<&Revision>,
) -> Result<Result<(), StoreError>, Ended> {
    let hold = run.hold();
    let by_hand = run.release.origin == Origin::CommandLine;
    let Some(mut stored) = run.memory.stored.take() else { return Err(Ended::Again) };
    let settled = settle(&stored.inventory, fates, extent);
    let settled = run.memory.mark_ended(&settled).unwrap_or(settled);
    let adopted = stored.exists() && hold == Hold::Finalizer && !stored.operators;
    let mut written = Ok(());
    // What is only put back came from where it came from.
    let applied = applied.filter(|_| run.trigger != Trigger::Restore);
    let from = applied.map(|revision| provenance(run.release, revision));
    let renamed = from.as_ref().is_some_and(|from| {
        from.source == stored.provenance.source && from.revision != stored.provenance.revision
    });
    if settled != *stored.inventory || adopted || renamed || (by_hand && applied.is_some()) {
        if let Some(from) = from {
            stored.provenance = from;
        }
        written = run.context.session.write_inventory(&run.release.id, &mut stored, settled, hold).await;
    }
    run.memory.remember(run.context, &run.release.id, stored);
    if written.is_err() {
        // What the cluster has is not known: it is read again.
        run.memory.stored = None;
    }
    Ok(written)
}

/// Where the objects of a revision come from, as its inventory says it.
fn provenance(release: &Release, revision: &Revision) -> Provenance {
    let applied_at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match &release.provenance {
        Some(told) => Provenance { applied_at, ..told.clone() },
        None => {
            let source = release.url.trim_start_matches("oci://").to_owned();
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

/// Says what is applied, and what left and is not gone yet.
fn applied_verdict(run: &Run<'_>, plan: &Plan, revision: &Revision, held_up: Option<String>) -> Verdict {
    let wanted: BTreeSet<&ObjectId> = plan.steps.iter().map(|s| &s.id).collect();
    let (applied, going): (Vec<_>, Vec<_>) =
        run.memory.inventory.claimed().partition(|id| wanted.contains(id));
    let rest = match (held_up, going.as_slice()) {
        (Some(held_up), _) => format!("; {held_up}"),
        (None, []) => String::new(),
        (None, [one]) => format!("; {one} left it and is still being deleted"),
        (None, [one, more @ ..]) => {
            format!("; {one} and {} more left it and are still being deleted", more.len())
        }
    };
    run.verdict(revision, applied.len(), &rest)
}

fn record(run: &Run<'_>, changes: Option<&Changes>, corrected: usize) {
    use crate::observe::labels::Action as Label;
    let metrics = &run.context.metrics;
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
