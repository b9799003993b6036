//! What a person requests of a release, as a change of the release: the same from the command line and the page.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::keys;
use crate::api::plan::PlanStatus;
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ReleaseId;
use crate::domain::ledger::KnownRevision;
use crate::domain::status::whole_seconds;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonRequest {
    /// A run now.
    Reconcile,
    /// No more runs.
    Suspend,
    /// Runs again, by `spec.ref`, and one now.
    Resume,
    /// That exactly this plan is applied.
    Approve {
        /// The hash of the plan.
        hash: String,
    },
    /// An earlier revision.
    Rollback {
        /// The revision.
        to: KnownRevision,
        /// Why, for people; may be empty.
        reason: String,
    },
}

impl PersonRequest {
    /// The merge patch of the release. `now` makes it another request than all before; `user` is recorded with an
    /// approval.
    pub fn patch(&self, now: Timestamp, user: Option<&str>) -> Value {
        let token = now.to_string();
        match self {
            Self::Reconcile => json!({"metadata": {"annotations": {(keys::RECONCILE_AT): token}}}),
            Self::Suspend => json!({"spec": {"suspend": true}}),
            Self::Resume => json!({"spec": {"suspend": false}, "metadata": {"annotations": {
                (keys::RECONCILE_AT): token, (keys::PIN): null, (keys::PIN_REASON): null,
            }}}),
            Self::Approve { hash } => json!({"metadata": {"annotations": {
                (keys::APPROVE): hash,
                (keys::APPROVED_BY): user,
                (keys::APPROVED_AT): whole_seconds(now).to_string(),
            }}}),
            Self::Rollback { to, reason } => {
                let reason = Some(reason).filter(|reason| !reason.is_empty());
                json!({"metadata": {"annotations": {
                    (keys::PIN): to.name, (keys::PIN_REASON): reason, (keys::RECONCILE_AT): token,
                }}})
            }
        }
    }

    /// What was requested, as the end of a sentence.
    pub fn done(&self) -> String {
        match self {
            Self::Reconcile => "requested a reconciliation".to_owned(),
            Self::Suspend => "suspended the release".to_owned(),
            Self::Resume => "resumed the release".to_owned(),
            Self::Approve { hash } => format!("approved plan {hash}"),
            Self::Rollback { to, .. } => format!("pinned the release to {}", shortened(&to.name)),
        }
    }
}

/// The plan that a person may approve: the published one, if it is the one that was read.
///
/// # Errors
/// Why there is none.
pub fn approvable(
    id: &ReleaseId,
    plan: Option<PlanStatus>,
    wanted: Option<&str>,
) -> Result<PlanStatus, String> {
    let Some(plan) = plan else {
        return Err(format!("release {id} has no plan that waits for approval"));
    };
    if plan.approved.is_some() {
        return Err(format!("plan {} of release {id} is being applied", plan.hash));
    }
    match wanted {
        Some(wanted) if wanted != plan.hash => Err(format!(
            "release {id} has plan {}, not {wanted}; see supercargo plan release {}",
            plan.hash, id.name
        )),
        _ => Ok(plan),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::plan::PlanApproval;

    #[test]
    fn a_request_changes_what_it_means_and_nothing_else() {
        let now: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let check = |verb: PersonRequest, expected: Value| {
            assert_eq!(verb.patch(now, Some("amara")), expected, "{verb:?}")
        };
        let annotations = |value: Value| json!({"metadata": {"annotations": value}});
        check(
            PersonRequest::Reconcile,
            annotations(json!({"supercargo.dev/reconcile-at": "2026-01-01T00:00:00.5Z"})),
        );
        check(PersonRequest::Suspend, json!({"spec": {"suspend": true}}));
        check(
            PersonRequest::Resume,
            json!({"spec": {"suspend": false}, "metadata": {"annotations": {
                "supercargo.dev/reconcile-at": "2026-01-01T00:00:00.5Z",
                "supercargo.dev/pin": null, "supercargo.dev/pin-reason": null}}}),
        );
        check(
            PersonRequest::Approve { hash: "a".into() },
            annotations(json!({"supercargo.dev/approve": "a", "supercargo.dev/approved-by": "amara",
                "supercargo.dev/approved-at": "2026-01-01T00:00:00Z"})),
        );
        let to = KnownRevision::named(&format!("1@sha256:{}", "b".repeat(64))).unwrap();
        let pinned = |reason: Value| {
            annotations(json!({"supercargo.dev/pin": to.name, "supercargo.dev/pin-reason": reason,
                "supercargo.dev/reconcile-at": "2026-01-01T00:00:00.5Z"}))
        };
        check(PersonRequest::Rollback { to: to.clone(), reason: String::new() }, pinned(Value::Null));
        check(PersonRequest::Rollback { to: to.clone(), reason: "why".into() }, pinned("why".into()));
    }

    #[test]
    fn only_the_plan_that_was_read_is_approved() {
        let id = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let plan = |approved| PlanStatus { hash: "a".into(), approved, ..PlanStatus::default() };
        let check = |plan: Option<PlanStatus>, wanted: Option<&str>, expected: Result<&str, &str>| {
            let found = approvable(&id, plan, wanted).map(|plan| plan.hash);
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        };
        check(None, None, Err("release apps/web has no plan that waits for approval"));
        check(Some(plan(None)), None, Ok("a"));
        check(Some(plan(None)), Some("a"), Ok("a"));
        let other = "release apps/web has plan a, not b; see supercargo plan release web";
        check(Some(plan(None)), Some("b"), Err(other));
        let applied = Some(plan(Some(PlanApproval::default())));
        check(applied, Some("a"), Err("plan a of release apps/web is being applied"));
    }
}
