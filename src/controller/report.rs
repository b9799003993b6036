//! Reports of a run in addition to its status and its log line: events, metrics.

use jiff::Timestamp;
use tracing::Instrument;

use super::log::{self, is_awaited};
use crate::api::reason::Reason;
use crate::api::status::{Changes, ReleaseStatus, condition};
use crate::cluster::events::ReleaseEventNote;
use crate::cluster::session::Session;
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ReleaseId;
use crate::domain::notify::record::newly_failed;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::release::Release;
use crate::observe::labels;
use crate::observe::metrics::Metrics;
use crate::reconcile::error::chain;

/// Updates the metrics after a run.
pub fn count(metrics: &Metrics, release: &Release, outcome: &Outcome, status: &ReleaseStatus) {
    metrics.release_reported(&release.id, release.suspend, status);
    if let Verdict::Ready { .. } = outcome.verdict {
        metrics.release_succeeded(&release.id, Timestamp::now());
    }
    let (outcome, reason) = log::counted(&outcome.verdict);
    metrics.reconciled(outcome, reason);
}

/// Counts what became of a revision that has failed.
pub fn count_rollbacks(metrics: &Metrics, before: &ReleaseStatus, after: &ReleaseStatus) {
    let is = |status: &ReleaseStatus, reason: Reason| {
        status.condition(condition::READY).is_some_and(|c| c.reason == reason.as_str())
    };
    // The newest entry tells one failure from the next.
    let newest = |status: &ReleaseStatus| status.quarantine.first().map(|e| (e.key.clone(), e.since.clone()));
    let is_known = |reason: Reason| is(before, reason) && newest(before) == newest(after);
    for (reason, result) in [
        (Reason::RolledBack, labels::RollbackResult::RolledBack),
        (Reason::Frozen, labels::RollbackResult::Frozen),
    ] {
        if is(after, reason) && !is_known(reason) {
            metrics.rollback(result);
        }
    }
}

/// Counts the last run of a deleted release.
pub fn count_finalized(metrics: &Metrics) {
    metrics.reconciled(labels::RunResult::Success, Reason::Deleting);
}

/// The events about a run whose status differs from the one before.
pub fn publish(
    session: &Session,
    release: &Release,
    outcome: &Outcome,
    before: &ReleaseStatus,
    after: &ReleaseStatus,
) {
    publish_notes(session, release, outcome);
    let ready = |status: &ReleaseStatus| {
        let found = status.condition(condition::READY);
        found.map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
    };
    match &outcome.verdict {
        Verdict::Ready { message }
            if outcome.changes.as_ref().is_some_and(Changes::wrote) || ready(before) != ready(after) =>
        {
            let summary = outcome.changes.as_ref().map(summary).unwrap_or_default();
            let message = format!("{message}{summary}");
            send(session, release, false, Reason::ReconciliationSucceeded, message, outcome);
        }
        Verdict::Failed { reason, message } | Verdict::Waiting { reason, message }
            if ready(before) != ready(after) =>
        {
            send(session, release, !is_awaited(*reason), *reason, message.clone(), outcome);
        }
        _ => {}
    }
    publish_unnotified(session, (&release.id, &release.uid), before, after);
    if let Some(message) = newly_verified(before, after) {
        send(session, release, false, Reason::Verified, message, outcome);
    }
    // If the release fails because of it, the failure has an event.
    if let (Some(failed), None) = (&outcome.fetch_failed, outcome.reason())
        && before.condition(condition::FETCH_FAILED).is_none_or(|c| c.reason != failed.reason.as_str())
    {
        send(session, release, true, failed.reason, failed.message.clone(), outcome);
    }
    let drift =
        |status: &ReleaseStatus| status.condition(condition::DRIFTED).filter(|c| c.status == "True").cloned();
    if let (Some(found), Some(assessment)) = (drift(after), &outcome.drift)
        && drift(before).is_none_or(|b| b.reason != found.reason)
    {
        send(session, release, true, assessment.reason, assessment.message.clone(), outcome);
    }
}

/// The events about receivers of the release that cannot be notified.
pub fn publish_unnotified(
    session: &Session,
    (id, uid): (&ReleaseId, &str),
    before: &ReleaseStatus,
    after: &ReleaseStatus,
) {
    for message in newly_failed(&before.notification_failures, &after.notification_failures) {
        send_about(session, (id, uid), true, Reason::NotificationFailed, message, None);
    }
}

/// The event about objects that became unhealthy, or healthy again, after their
/// revision was applied.
pub fn publish_health(session: &Session, release: &Release, before: &ReleaseStatus, after: &ReleaseStatus) {
    let status = |status: &ReleaseStatus| status.condition(condition::HEALTHY).map(|c| c.status.clone());
    if status(before) == status(after) {
        return;
    }
    let health = after.condition(condition::HEALTHY);
    let Some((reason, health)) = health.and_then(|c| Some((Reason::named(&c.reason)?, c))) else { return };
    let message = match reason {
        Reason::Healthy => "All objects are healthy again".to_owned(),
        _ => health.message.clone(),
    };
    tracing::info!(release = %release.id, reason = reason.as_str(), "{message}");
    let revision = after.last_applied_revision.clone();
    let about = (&release.id, release.uid.as_str());
    send_about(session, about, reason != Reason::Healthy, reason, message, revision);
}

/// The event message when the artifact is newly verified, or has other signers. A failed
/// verification is the event of the run's failure.
fn newly_verified(before: &ReleaseStatus, after: &ReleaseStatus) -> Option<String> {
    let verified = |status: &ReleaseStatus| {
        let found = status.condition(condition::VERIFIED).filter(|c| c.status == "True");
        found.map(|c| c.message.clone())
    };
    let message = verified(after)?;
    let artifact = after.artifact.as_ref()?;
    (verified(before).as_ref() != Some(&message)).then(|| format!("{}: {message}", artifact.revision))
}

/// The events about notes.
pub fn publish_notes(session: &Session, release: &Release, outcome: &Outcome) {
    for note in &outcome.notes {
        send(session, release, log::is_warning(note), note.reason, note.message.clone(), outcome);
    }
}

fn summary(changes: &Changes) -> String {
    let counts = [
        (changes.created, "created"),
        (changes.configured, "configured"),
        (changes.pruned, "pruned"),
        (changes.unchanged, "unchanged"),
    ];
    let words: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) }
}

/// Sends an event in the background: the run does not wait for it.
fn send(
    session: &Session,
    release: &Release,
    warning: bool,
    reason: Reason,
    message: String,
    outcome: &Outcome,
) {
    let revision = outcome.artifact.as_ref().map(|a| a.revision.clone());
    send_about(session, (&release.id, release.uid.as_str()), warning, reason, message, revision);
}

fn send_about(
    session: &Session,
    (id, uid): (&ReleaseId, &str),
    warning: bool,
    reason: Reason,
    message: String,
    revision: Option<String>,
) {
    let (session, id, uid) = (session.clone(), id.clone(), uid.to_owned());
    let now = Timestamp::now();
    let publishing = async move {
        let note = ReleaseEventNote {
            release: &id,
            uid: &uid,
            warning,
            reason,
            message: &shortened(&message),
            revision: revision.as_deref(),
        };
        match session.publish_in_turn(note, now).await {
            Ok(()) => {}
            // A terminating namespace accepts no new events.
            Err(error) if error.is_forbidden() || error.is_not_found() => {
                tracing::debug!(error = chain(&error), "cannot publish an event");
            }
            Err(error) => tracing::warn!(error = chain(&error), "cannot publish an event"),
        }
    };
    // Errors are logged in the span of the run.
    tokio::spawn(publishing.in_current_span());
}
