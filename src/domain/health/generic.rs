//! The rule for custom resources: generations and the conditions `Ready`,
//! `Reconciling` and `Stalled`, by the conventions of kstatus.

use jiff::{SignedDuration, Timestamp};

use super::fields::{Condition, Fields, unobserved};
use super::rule::Rule;
use super::verdict::{Health, young_until};
use crate::domain::objects::identity::is_built_in;

/// A group that the API server uses internally.
const INTERNAL: &str = "internal.apiserver.k8s.io";

/// The rule for every kind that is not built in. A built-in kind without a rule has no
/// health.
pub fn rule(group: &str, _: &str) -> Option<Rule> {
    (!is_built_in(group) && group != INTERNAL).then_some(custom as Rule)
}

/// How long the controller of a new object may take to write its first status.
/// kstatus calls an object without a status current at once, so a wait ends before
/// the controller has started. Many kinds never get a status; their first apply
/// delays a release that waits by this time.
const FIRST_STATUS: SignedDuration = SignedDuration::from_secs(3);

pub(super) fn custom(fields: Fields<'_>, now: Timestamp) -> Health {
    let ready = fields.condition("Ready");
    if outdated(fields, ready) {
        return unobserved();
    }
    if let Some(c) = fields.holds("Stalled") {
        return Health::failed(c.explain());
    }
    if let Some(c) = fields.holds("Reconciling") {
        return Health::in_progress(c.explain());
    }
    match ready {
        Some(c) if c.is("True") => Health::current("is ready"),
        Some(c) => Health::in_progress(format!("is not ready, {}", c.explain())),
        None if !fields.has("/status") => match young_until(fields.created(), FIRST_STATUS, now) {
            Some(end) => Health::in_progress("has no status yet").until(end),
            None => Health::current("exists"),
        },
        None => Health::current("exists"),
    }
}

/// `status.observedGeneration` decides if it is set. Otherwise the `Ready` condition
/// may have its own, which kstatus ignores.
fn outdated(fields: Fields<'_>, ready: Option<Condition<'_>>) -> bool {
    let Some(generation) = fields.number("/metadata/generation") else { return false };
    match fields.number("/status/observedGeneration") {
        Some(observed) => observed != generation,
        None => ready.and_then(Condition::observed_generation).is_some_and(|observed| observed < generation),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, RuleSet};
    use serde_json::{Value, json};

    fn check(status: Value, state: HealthState, message: &str) {
        let object = json!({"apiVersion": "example.com/v1", "kind": "Widget",
            "metadata": {"name": "a", "generation": 2}, "status": status});
        let health = RuleSet::default().assess(&object, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "R", "message": "m"})
    }

    const UNSEEN: &str = "its controller has not seen the latest change yet";

    #[test]
    fn custom_resources() {
        check(json!(null), Current, "exists");
        check(json!({}), Current, "exists");
        check(json!({"observedGeneration": 1}), InProgress, UNSEEN);
        check(json!({"observedGeneration": 2}), Current, "exists");
        check(json!({"conditions": [condition("Ready", "True")]}), Current, "is ready");
        check(json!({"conditions": [condition("Ready", "False")]}), InProgress, "is not ready, R: m");
        check(json!({"conditions": [condition("Ready", "Unknown")]}), InProgress, "is not ready, R: m");
        check(
            json!({"conditions": [condition("Ready", "False"), condition("Stalled", "True")]}),
            Failed,
            "R: m",
        );
        check(
            json!({"conditions": [condition("Ready", "True"), condition("Reconciling", "True")]}),
            InProgress,
            "R: m",
        );
        check(
            json!({"conditions": [condition("Reconciling", "False"), condition("Stalled", "False")]}),
            Current,
            "exists",
        );
        check(
            json!({"observedGeneration": 1, "conditions": [condition("Ready", "True"), condition("Stalled", "True")]}),
            InProgress,
            UNSEEN,
        );
    }

    #[test]
    fn a_condition_may_carry_its_own_generation() {
        let ready = |generation: i64| {
            let mut c = condition("Ready", "True");
            c["observedGeneration"] = generation.into();
            c
        };
        check(json!({"conditions": [ready(1)]}), InProgress, UNSEEN);
        check(json!({"conditions": [ready(2)]}), Current, "is ready");
        check(json!({"observedGeneration": 2, "conditions": [ready(1)]}), Current, "is ready");
    }

    #[test]
    fn a_new_object_gets_time_for_its_first_status() {
        let check = |status: Value, created: &str, state: HealthState, changes_at: Option<&str>| {
            let object = json!({"apiVersion": "example.com/v1", "kind": "Widget",
                "metadata": {"creationTimestamp": created}, "status": status});
            let health = RuleSet::default().assess(&object, "2026-01-01T00:00:02Z".parse().unwrap());
            assert_eq!(health.state, state, "{object}");
            assert_eq!(health.changes_at, changes_at.map(|t| t.parse().unwrap()), "{object}");
        };
        check(json!(null), "2026-01-01T00:00:01Z", InProgress, Some("2026-01-01T00:00:04Z"));
        check(json!(null), "2025-12-31T23:59:59Z", Current, None);
        check(json!({}), "2026-01-01T00:00:01Z", Current, None);
        check(json!(null), "2026-01-01T00:10:00Z", Current, None);
    }
}
