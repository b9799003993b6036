//! The plan in the status of a release.

use crate::api::plan::PlanStatus;
use crate::api::reason::Reason;
use crate::api::status::ReleaseStatus;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::plan::changeset::HANDED_OVER;
use crate::domain::release::approval::ApprovalPolicy;

/// The objects of other releases that a release waits for, as its status names them.
pub fn awaited_objects(status: &ReleaseStatus) -> Vec<String> {
    let planned = status.plan.iter().flat_map(|plan| &plan.changes);
    let planned = planned.filter(|change| change.action == HANDED_OVER).map(|change| &change.object);
    let disputed = status.failures.iter().filter(|f| f.reason == Reason::OwnershipConflict.as_str());
    planned.chain(disputed.map(|failure| &failure.object)).cloned().collect()
}

/// The plan after a run. It goes once its revision is applied, or another one is wanted.
pub fn plan_after(
    before: Option<&PlanStatus>,
    policy: &ApprovalPolicy,
    outcome: &Outcome,
) -> Option<PlanStatus> {
    if let Some(plan) = &outcome.plan {
        return Some(plan.clone());
    }
    let plan = before.filter(|_| matches!(policy, ApprovalPolicy::Manual { .. }))?;
    // It waits while a rollout that has begun is finished first.
    let is_later = outcome.held.as_ref() == Some(&plan.revision);
    let is_about = |revision: &str| revision == plan.revision || is_later;
    let other = outcome.artifact.as_ref().is_some_and(|artifact| !is_about(&artifact.revision));
    let is_over = outcome.applied && !is_later && outcome.verdict != Verdict::Suspended;
    (!other && !is_over).then(|| plan.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::plan::PlanEntry;
    use crate::api::status::{ArtifactStatus, Failure};

    #[test]
    fn a_release_waits_for_what_it_takes_over_and_for_what_is_disputed() {
        let change = |object: &str, action: &str| PlanEntry {
            object: object.into(),
            action: action.into(),
            ..PlanEntry::default()
        };
        let failure = |object: &str, reason: Reason| Failure {
            object: object.into(),
            reason: reason.to_string(),
            ..Failure::default()
        };
        let changes = vec![change("ConfigMap/a/x", "created"), change("ConfigMap/a/y", "handedOver")];
        let status = ReleaseStatus {
            plan: Some(PlanStatus { changes, ..PlanStatus::default() }),
            failures: vec![
                failure("Secret/a/x", Reason::OwnershipConflict),
                failure("Secret/a/y", Reason::AccessDenied),
            ],
            ..ReleaseStatus::default()
        };
        assert_eq!(awaited_objects(&status), ["ConfigMap/a/y", "Secret/a/x"]);
    }

    #[test]
    fn a_plan_stays_until_its_revision_is_applied_or_another_is_wanted() {
        let plan =
            |hash: &str| PlanStatus { revision: "1".into(), hash: hash.into(), ..PlanStatus::default() };
        let about = |revision: &str, outcome: Outcome| {
            let artifact = ArtifactStatus { revision: revision.into(), ..ArtifactStatus::default() };
            Outcome { artifact: Some(artifact), ..outcome }
        };
        let failed = || Outcome::failed(Reason::RegistryUnavailable, "m");
        let check = |policy: ApprovalPolicy, outcome: Outcome, expected: Option<&str>| {
            let found = plan_after(Some(&plan("a")), &policy, &outcome).map(|plan| plan.hash);
            assert_eq!(found.as_deref(), expected);
        };
        let manual = || ApprovalPolicy::Manual { timeout: None };
        check(manual(), failed(), Some("a"));
        check(manual(), about("1", failed()), Some("a"));
        check(manual(), about("2", failed()), None);
        check(manual(), Outcome { plan: Some(plan("b")), ..failed() }, Some("b"));
        check(manual(), about("1", Outcome { applied: true, ..failed() }), None);
        let before = Outcome { held: Some("1".into()), applied: true, ..failed() };
        check(manual(), about("0", before), Some("a"));
        check(ApprovalPolicy::Automatic, failed(), None);
    }
}
