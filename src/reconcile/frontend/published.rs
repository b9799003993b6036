//! The plan that the operator has published for a release, with all of its changes.

use serde::Serialize;
use serde_json::Value;

use crate::api::plan::{OutdatedApproval, PlanApproval, PlanCounts, PlanEntry, PlanStatus};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::plan::changeset::changes_digest;

/// A plan, for programs.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The revision.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// The hash that is approved.
    pub hash: String,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The numbers of changes.
    pub counts: PlanCounts,
    /// The changes.
    pub changes: Vec<PlanEntry>,
    /// How many are not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_changes: Option<usize>,
    /// What differs from a plan that was approved before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_since: Option<OutdatedApproval>,
    /// The approval, once the plan is being applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<PlanApproval>,
}

/// The plan in the status of a release.
///
/// # Errors
/// Why it cannot be read.
pub fn published(release: &Value) -> Result<Option<PlanStatus>, String> {
    let Some(plan) = release.pointer("/status/plan") else { return Ok(None) };
    let read = serde_json::from_value(plan.clone());
    read.map(Some).map_err(|error| format!("cannot read status.plan: {error}"))
}

/// The plan with all of its changes, as far as they can be read.
///
/// # Errors
/// When the API server gives no answer.
pub async fn view(session: &Session, id: &ReleaseId, plan: PlanStatus) -> Result<PlanView, ApiError> {
    let digest = plan.changes_digest.clone();
    let listed = plan.changes.len();
    let unlisted = plan.more_changes.and_then(|more| usize::try_from(more).ok()).unwrap_or_default();
    let cut = |entry: &PlanEntry| {
        let is_cut = |value: &Option<String>| value.as_ref().is_some_and(|value| value.ends_with('…'));
        entry.more_fields.is_some() || entry.fields.iter().any(|f| is_cut(&f.before) || is_cut(&f.after))
    };
    let mut view = PlanView {
        revision: plan.revision,
        hash: plan.hash,
        since: Some(plan.since),
        counts: plan.counts,
        changes: plan.changes,
        more_changes: Some(unlisted).filter(|more| *more > 0),
        changed_since: plan.changed_since,
        approved: plan.approved,
    };
    if unlisted == 0 && !view.changes.iter().any(cut) {
        return Ok(view);
    }
    let stored = match session.read_plan(id).await {
        Ok(stored) => stored.filter(|stored| digest.as_deref() == Some(&changes_digest(&stored.changes))),
        // The status has the first changes.
        Err(error) if error.is_forbidden() => None,
        Err(error) => return Err(error),
    };
    let all = stored.and_then(|stored| {
        let changes: Vec<PlanEntry> = serde_json::from_str(&stored.changes).ok()?;
        (changes.len() >= listed).then_some((changes, stored.more))
    });
    if let Some((changes, more)) = all {
        (view.changes, view.more_changes) = (changes, Some(more).filter(|more| *more > 0));
    }
    Ok(view)
}
