//! The history of a release: its last revisions, and what became of each.

use jiff::Timestamp;

use super::bounds::whole_seconds;
use crate::api::status::{HistoryEntry, MAX_HISTORY, ReleaseStatus};
use crate::domain::outcome::Outcome;

/// In the history: a revision that is not completely applied, or not healthy.
const FAILED: &str = "Failed";

/// The outcome of the rollout of a revision, in the history.
fn came_out(outcome: &Outcome) -> &'static str {
    match (outcome.applied, outcome.health.as_ref().and_then(|h| h.status)) {
        (false, _) | (true, Some(false)) => FAILED,
        (true, Some(true)) => "Healthy",
        (true, None) => "Applied",
    }
}

/// Adds a rollout, which a correction of drift is not. The retry of a failed revision updates its entry.
pub fn remember(status: &mut ReleaseStatus, previous: &ReleaseStatus, outcome: &Outcome, now: Timestamp) {
    let (Some(artifact), Some(changes), true) = (&outcome.artifact, &outcome.changes, outcome.rollout) else {
        return;
    };
    let entry = HistoryEntry {
        revision: artifact.revision.clone(),
        digest: artifact.digest.clone(),
        applied_at: whole_seconds(now).to_string(),
        outcome: came_out(outcome).to_owned(),
        changes: changes.clone(),
    };
    match status.history.first_mut().filter(|h| h.digest == entry.digest) {
        Some(top) if top.outcome == entry.outcome && !changes.wrote() => {}
        Some(top) if top.outcome == FAILED => {
            let changes = changes.after(&top.changes);
            let known = previous.last_applied_revision.as_ref() == Some(&entry.revision);
            let applied_at = if known { top.applied_at.clone() } else { entry.applied_at };
            *top = HistoryEntry { changes, applied_at, ..entry };
        }
        Some(top) => *top = entry,
        None => status.history.insert(0, entry),
    }
    status.history.truncate(MAX_HISTORY);
}
