//! The plan in the status of a release.

use crate::api::plan::PlanStatus;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::release::approval::ApprovalPolicy;

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
    let other = outcome.artifact.as_ref().is_some_and(|artifact| artifact.revision != plan.revision);
    let is_over = outcome.applied && outcome.verdict != Verdict::Suspended;
    (!other && !is_over).then(|| plan.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;
    use crate::api::status::ArtifactStatus;

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
        check(ApprovalPolicy::Automatic, failed(), None);
    }
}
