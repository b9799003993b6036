//! The plan of a new revision that nobody has approved yet.

use super::super::decision::{Blocker, Decision, WakeOn};
use super::super::facts::Facts;
use crate::api::keys;
use crate::api::plan::PlanCounts;
use crate::api::reason::Reason;
use crate::domain::release::approval::{ApprovalPolicy, ApprovalValidity};

/// Waits until a person has approved exactly this plan.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let (Some(plan), ApprovalPolicy::Manual { timeout }) = (facts.plan, &facts.release.approval) else {
        return Decision::Pass;
    };
    if *plan.counts == PlanCounts::default() {
        return Decision::Pass;
    }
    let given = facts.release.approved.as_ref().filter(|given| given.hash == plan.hash);
    let validity = given.map(|given| given.validity(*timeout, plan.now));
    if validity == Some(ApprovalValidity::Valid) {
        return Decision::Pass;
    }
    let (id, hash) = (&facts.release.id, plan.hash);
    let cause = match (validity, plan.outdated) {
        (Some(ApprovalValidity::Expired), _) => {
            "the approval has expired (spec.approvalTimeout); ".to_owned()
        }
        (Some(ApprovalValidity::Early(from)), _) => {
            format!(
                "the time in the annotation {} is still to come, the approval counts from {from} on (spec.approvalTimeout); ",
                keys::APPROVED_AT
            )
        }
        (Some(_), _) => {
            format!(
                "the approval has no valid time in the annotation {} (spec.approvalTimeout); ",
                keys::APPROVED_AT
            )
        }
        (None, Some((approved, difference))) => {
            format!("the approval of plan {approved} does not fit any more: {difference}; ")
        }
        (None, None) => String::new(),
    };
    let message = format!(
        "Waiting for approval of plan {hash} of revision {}: {cause}{}; show it with `supercargo plan release {} -n {}`, \
         approve it with `supercargo approve release {} -n {} --hash {hash}`",
        plan.revision,
        counted(plan.counts),
        id.name,
        id.namespace,
        id.name,
        id.namespace,
    );
    let wake_on = match validity {
        Some(ApprovalValidity::Early(from)) => WakeOn::Time(from),
        _ => WakeOn::Release,
    };
    Decision::Wait(Blocker::new(Reason::ApprovalRequired, message), wake_on)
}

/// `2 created, 1 pruned`.
pub fn counted(counts: &PlanCounts) -> String {
    let PlanCounts { created, configured, recreated, pruned, handed_over, run, unknown } = counts;
    let words = [
        (created, "created"),
        (configured, "configured"),
        (recreated, "recreated"),
        (pruned, "pruned"),
        (handed_over, "handed over"),
        (run, "run"),
        (unknown, "unknown"),
    ];
    let words = words.into_iter().filter(|(count, _)| **count > 0);
    let words: Vec<String> = words.map(|(count, word)| format!("{count} {word}")).collect();
    if words.is_empty() { "no changes".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::super::super::facts::PlanFacts;
    use super::*;
    use crate::domain::gate::tests::{held, release};
    use crate::domain::release::approval::GivenApproval;

    #[test]
    fn exactly_the_plan_that_a_person_approved_passes() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let one = PlanCounts { created: 1, pruned: 2, ..PlanCounts::default() };
        let none = PlanCounts::default();
        let hour = Some(Duration::from_secs(3600));
        let manual = |timeout| ApprovalPolicy::Manual { timeout };
        let check = |policy: ApprovalPolicy,
                     approved: Option<(&str, Option<&str>)>,
                     counts: &PlanCounts,
                     outdated: Option<(&str, &str)>,
                     expected: Option<&str>| {
            let mut release = release();
            release.approval = policy;
            release.approved = approved.map(|(hash, at)| GivenApproval {
                hash: hash.to_owned(),
                by: None,
                at: at.map(str::to_owned),
            });
            let plan = PlanFacts { revision: "1@sha256:a", hash: "abc", counts, outdated, now };
            let decision = decide(&Facts { plan: Some(plan), ..Facts::of(&release) });
            let wakes = matches!(&decision, Decision::Wait(_, WakeOn::Time(_)));
            assert_eq!(wakes, expected.is_some_and(|cause| cause.contains("still to come")), "{decision:?}");
            let found = held(decision);
            let expected = expected.map(|cause| {
                let message = format!(
                    "Waiting for approval of plan abc of revision 1@sha256:a: {cause}1 created, 2 pruned; show it with \
                     `supercargo plan release app -n team`, approve it with `supercargo approve release app -n team --hash abc`"
                );
                (Reason::ApprovalRequired, message)
            });
            assert_eq!(found, expected);
        };
        check(ApprovalPolicy::Automatic, None, &one, None, None);
        check(manual(None), None, &one, None, Some(""));
        check(manual(None), None, &none, None, None);
        check(manual(None), Some(("abc", None)), &one, None, None);
        check(manual(None), Some(("abd", None)), &one, None, Some(""));
        check(
            manual(None),
            Some(("abd", None)),
            &one,
            Some(("abd", "A/a is pruned and was not in the plan")),
            Some("the approval of plan abd does not fit any more: A/a is pruned and was not in the plan; "),
        );
        check(manual(hour), Some(("abc", Some("2026-01-01T11:30:00Z"))), &one, None, None);
        check(
            manual(hour),
            Some(("abc", Some("2026-01-01T10:30:00Z"))),
            &one,
            None,
            Some("the approval has expired (spec.approvalTimeout); "),
        );
        check(
            manual(hour),
            Some(("abc", None)),
            &one,
            None,
            Some(
                "the approval has no valid time in the annotation supercargo.dev/approved-at (spec.approvalTimeout); ",
            ),
        );
        check(
            manual(hour),
            Some(("abc", Some("2026-01-01T13:00:00Z"))),
            &one,
            None,
            Some(
                "the time in the annotation supercargo.dev/approved-at is still to come, the approval counts from \
                 2026-01-01T12:59:00Z on (spec.approvalTimeout); ",
            ),
        );
    }
}
