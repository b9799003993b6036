//! Releases that must have had a revision first.

use crate::api::reason::Reason;
use crate::domain::gate::decision::{Blocker, Decision, WakeOn};
use crate::domain::gate::facts::{Facts, Unpromoted};
use crate::domain::message::List;

/// How many releases a message names.
const NAMED: usize = 3;

/// Holds a new revision until other releases have had its digest, healthy, for long enough.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(arrival) = facts.arrival else { return Decision::Pass };
    let release = facts.release;
    let mut sources = release.guards.promotion.iter().map(|rule| &rule.id);
    let other = sources.find(|id| id.namespace != release.id.namespace);
    if let Some(other) = other.filter(|_| !arrival.across_namespaces) {
        let message = format!(
            "spec.promotion.after: {other} is in another namespace, which the administrator does not allow \
             (--allow-cross-namespace-dependencies)"
        );
        return Decision::refuse(Reason::DependencyNotAllowed, message);
    }
    let unpromoted = arrival.unpromoted;
    if unpromoted.is_empty() {
        return Decision::Pass;
    }
    let words: Vec<String> =
        unpromoted.iter().map(|Unpromoted { id, words, .. }| format!("{id} {words}")).collect();
    let list = List::Clauses.few(&words, NAMED);
    let message = format!("revision {} waits for its promotion: {list}", arrival.revision);
    // Time alone helps only where it helps all of them.
    let times: Option<Vec<_>> = unpromoted.iter().map(|one| one.until).collect();
    let wake_on = times.and_then(|times| times.into_iter().max()).map_or(WakeOn::Dependencies, WakeOn::Time);
    Decision::Wait(Blocker::new(Reason::PromotionPending, message), wake_on)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::gate::facts::ArrivalFacts;
    use crate::domain::gate::tests::{arrival, release};
    use crate::domain::identity::ReleaseId;
    use crate::domain::release::PromotionRule;

    fn id(namespace: &str) -> ReleaseId {
        ReleaseId { namespace: namespace.into(), name: "app".into() }
    }

    #[test]
    fn a_revision_waits_for_others_to_have_it_and_another_namespace_has_to_be_allowed() {
        let check =
            |namespace: &str, across_namespaces: bool, until: &[Option<&str>], expected: Option<&str>| {
                let mut release = release();
                let healthy_for = std::time::Duration::ZERO;
                release.guards.promotion = [PromotionRule { id: id(namespace), healthy_for }].into();
                let time = |at: &str| at.parse::<Timestamp>().unwrap();
                let unpromoted: Vec<Unpromoted> = until
                    .iter()
                    .map(|at| Unpromoted { id: id(namespace), words: "is away".into(), until: at.map(time) })
                    .collect();
                let facts = ArrivalFacts {
                    across_namespaces,
                    unpromoted: &unpromoted,
                    ..arrival("2026-12-01T10:00:00Z")
                };
                let found = match decide(&Facts { arrival: Some(facts), ..Facts::of(&release) }) {
                    Decision::Pass => None,
                    Decision::Wait(blocker, wake_on) => Some(format!("{wake_on:?} {}", blocker.message)),
                    Decision::Refuse(blocker) => Some(blocker.message),
                };
                assert_eq!(found.as_deref(), expected);
            };
        check("team", false, &[], None);
        let refused = "spec.promotion.after: staging/app is in another namespace, which the administrator does not allow \
                       (--allow-cross-namespace-dependencies)";
        check("staging", false, &[], Some(refused));
        check("staging", true, &[], None);
        let waits = "revision 1@sha256:a waits for its promotion: staging/app is away";
        check("staging", true, &[None], Some(&format!("Dependencies {waits}")));
        let (first, last) = ("2026-12-01T11:00:00Z", "2026-12-01T12:00:00Z");
        let both = format!("Time({last}) {waits}; staging/app is away");
        check("staging", true, &[Some(last), Some(first)], Some(&both));
        check(
            "staging",
            true,
            &[Some(last), None],
            Some(&format!("Dependencies {waits}; staging/app is away")),
        );
    }
}
