//! The history of a release: its last revisions, and what became of each.

use jiff::Timestamp;

use super::bounds::whole_seconds;
use crate::api::status::{Changes, HistoryEntry, ReleaseStatus, VerifiedBy};
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::release::Release;
use crate::domain::verdict::{FailureClass, classify};

/// In the history: a revision that is not completely applied, or not healthy.
pub const FAILED: &str = "Failed";
/// In the history: a revision whose objects were healthy.
pub const HEALTHY: &str = "Healthy";

/// What the history is made from.
#[derive(Clone, Copy)]
pub struct HistoryInput<'a> {
    /// The status before the run.
    pub previous: &'a ReleaseStatus,
    /// The release.
    pub release: &'a Release,
    /// The outcome of the run.
    pub outcome: &'a Outcome,
    /// The time of the outcome.
    pub now: Timestamp,
}

/// The outcome of the rollout of a revision, in the history. A step may fail after all objects were
/// healthy.
fn came_out(outcome: &Outcome) -> &'static str {
    if classify(outcome) == FailureClass::Bad {
        return FAILED;
    }
    match (outcome.applied, outcome.health.as_ref().and_then(|h| h.status)) {
        (false, _) | (true, Some(false)) => FAILED,
        (true, Some(true)) => HEALTHY,
        (true, None) => "Applied",
    }
}

/// Adds a rollout, which a correction of drift is not. The retry of a failed revision updates its entry.
pub fn remember(status: &mut ReleaseStatus, input: HistoryInput<'_>) {
    let HistoryInput { previous, release, outcome, now } = input;
    let Some(artifact) = &outcome.artifact else { return };
    let key = release.applied_key(&artifact.digest);
    // The process may have ended after the last write of an approved plan.
    let is_approved = previous.plan.iter().any(|p| p.approved.as_ref().is_some_and(|a| a.key == key));
    let is_recorded = status.history.first().is_some_and(|top| top.key.as_ref() == Some(&key));
    let is_late = outcome.applied && is_approved && !is_recorded;
    if !outcome.rollout && !is_late {
        return;
    }
    // A step that has failed comes before the first write.
    let is_empty = classify(outcome) == FailureClass::Bad || is_late;
    let Some(changes) = outcome.changes.clone().or_else(|| is_empty.then(Changes::default)) else { return };
    let ended = whole_seconds(now).to_string();
    let reason = match &outcome.verdict {
        Verdict::Failed { reason, .. } if came_out(outcome) == FAILED => Some(reason.to_string()),
        _ => None,
    };
    let signers = status.artifact.as_ref().map(|known| known.verified_by.as_slice()).unwrap_or_default();
    let approved = previous.plan.as_ref().and_then(|plan| plan.approved.as_ref());
    let approved_by =
        approved.filter(|approved| approved.key == key).and_then(|approved| approved.by.clone());
    let entry = HistoryEntry {
        revision: artifact.revision.clone(),
        digest: artifact.digest.clone(),
        applied_at: ended.clone(),
        outcome: came_out(outcome).to_owned(),
        changes: changes.clone(),
        reason,
        signer: signers.first().and_then(signer),
        approved_by,
        started_at: outcome.began.map(|began| whole_seconds(began).to_string()),
        ended_at: Some(ended),
        source: Some(release.repository().to_owned()),
        key: Some(key),
    };
    match status.history.first_mut().filter(|h| h.digest == entry.digest) {
        Some(top) if top.outcome == entry.outcome && top.key == entry.key && !changes.wrote() => {}
        Some(top) if top.outcome == FAILED => {
            let changes = changes.after(&top.changes);
            let known = previous.last_applied_revision.as_ref() == Some(&entry.revision);
            let applied_at = if known { top.applied_at.clone() } else { entry.applied_at };
            let started_at = top.started_at.take().or(entry.started_at);
            let approved_by =
                entry.approved_by.or_else(|| top.approved_by.take().filter(|_| top.key == entry.key));
            *top = HistoryEntry { changes, applied_at, started_at, approved_by, ..entry };
        }
        // A failure with other inputs does not make forget that the revision was healthy.
        Some(top) if top.outcome == HEALTHY && entry.outcome == FAILED && top.key != entry.key => {
            status.history.insert(0, entry);
        }
        Some(top) => *top = entry,
        None => status.history.insert(0, entry),
    }
    shorten(&mut status.history, release.history_limit.max(2));
}

/// Drops the oldest entries. The last healthy revision stays: a release may go back to it.
fn shorten(history: &mut Vec<HistoryEntry>, most: usize) {
    let healthy = history.iter().position(|entry| entry.outcome == HEALTHY);
    if let Some(at) = healthy.filter(|at| *at >= most) {
        history.swap(at, most - 1);
    }
    history.truncate(most);
}

/// Who has signed it, for people.
fn signer(by: &VerifiedBy) -> Option<String> {
    by.subject.clone().or_else(|| by.key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_healthy_revision_stays() {
        let check = |outcomes: &[&str], most: usize, expected: &[&str]| {
            let entry =
                |outcome: &&str| HistoryEntry { outcome: (*outcome).to_owned(), ..HistoryEntry::default() };
            let mut history: Vec<HistoryEntry> = outcomes.iter().map(entry).collect();
            shorten(&mut history, most);
            let kept: Vec<&str> = history.iter().map(|entry| entry.outcome.as_str()).collect();
            assert_eq!(kept, expected, "{outcomes:?}");
        };
        check(&[FAILED, HEALTHY], 2, &[FAILED, HEALTHY]);
        check(&[FAILED, FAILED, HEALTHY], 2, &[FAILED, HEALTHY]);
        check(&[FAILED, HEALTHY, "Applied", HEALTHY], 2, &[FAILED, HEALTHY]);
        check(&[FAILED, FAILED, "Applied", FAILED], 3, &[FAILED, FAILED, "Applied"]);
    }
}
