//! A release that depends on itself.

use super::decision::Decision;
use super::facts::{DependencyFacts, Facts};
use crate::api::reason::Reason;
use crate::domain::identity::ReleaseId;

/// How many releases of a cycle a message names.
const NAMED: usize = 16;

/// Refuses a release that is part of a cycle: none of them could ever be first.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(DependencyFacts { cycle: Some(cycle), .. }) = facts.dependencies else { return Decision::Pass };
    let message = format!("spec.dependsOn is a cycle: {}; remove one of these dependencies", written(cycle));
    Decision::refuse(Reason::DependencyCycle, message)
}

/// `a/x → a/y → a/x`.
fn written(cycle: &[ReleaseId]) -> String {
    let mut names: Vec<String> = cycle.iter().take(NAMED).map(ToString::to_string).collect();
    let more = cycle.len().saturating_sub(NAMED);
    if more > 0 {
        names.push(format!("({more} more)"));
    }
    names.extend(cycle.first().map(ToString::to_string));
    names.join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::tests::{held, release};

    #[test]
    fn a_cycle_is_named_from_the_release_to_itself() {
        let check = |cycle: &[&str], expected: Option<&str>| {
            let cycle: Vec<ReleaseId> = cycle
                .iter()
                .map(|name| ReleaseId { namespace: "team".into(), name: (*name).into() })
                .collect();
            let facts = DependencyFacts {
                cycle: Some(cycle.as_slice()).filter(|cycle| !cycle.is_empty()),
                ..DependencyFacts::default()
            };
            let found = held(decide(&Facts { dependencies: Some(facts), ..Facts::of(&release()) }));
            let message = found.map(|(reason, message)| {
                assert_eq!(reason, Reason::DependencyCycle);
                message
            });
            let expected = expected
                .map(|way| format!("spec.dependsOn is a cycle: {way}; remove one of these dependencies"));
            assert_eq!(message, expected);
        };
        check(&[], None);
        check(&["app"], Some("team/app → team/app"));
        // It leads to this one, and is part of one that is too long to search for.
        check(&["x", "y"], Some("team/x → team/y → team/x"));
        check(&["app", "x", "y"], Some("team/app → team/x → team/y → team/app"));
        let long: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let names: Vec<String> = long.iter().take(16).map(|name| format!("team/{name}")).collect();
        check(&long, Some(&format!("{} → (4 more) → team/r0", names.join(" → "))));
    }
}
