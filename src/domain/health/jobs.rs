//! Jobs. A CronJob has no health: it is current once it exists, and whether its runs
//! succeed is not a property of the revision.

use jiff::Timestamp;

use super::fields::Fields;
use super::rule::Rule;
use super::verdict::Health;

/// The rules of this family.
pub fn rule(group: &str, kind: &str) -> Option<Rule> {
    matches!((group, kind), ("batch", "Job")).then_some(job as Rule)
}

/// kstatus calls a Job current once it has started. Here it has to complete, because
/// a release that runs a migration has to wait for its end.
pub(super) fn job(fields: Fields<'_>, _now: Timestamp) -> Health {
    let completions = fields.number("/spec/completions").or(fields.number("/spec/parallelism")).unwrap_or(1);
    let succeeded = fields.count("/status/succeeded");
    if fields.holds("Complete").is_some() {
        return Health::current("has completed");
    }
    // `FailureTarget` is set before `Failed`, while the last pods terminate, and is
    // never reset.
    if let Some(c) = fields.holds("Failed").or(fields.holds("FailureTarget")) {
        return Health::failed(format!("has failed, {}", c.explain()));
    }
    if fields.flag("/spec/suspend") && fields.holds("Suspended").is_some() {
        return Health::suspended("is suspended");
    }
    if !fields.has("/status/startTime") {
        return Health::in_progress("has not started yet");
    }
    Health::in_progress(format!("{succeeded} of {completions} completions"))
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, RuleSet};
    use serde_json::{Value, json};

    fn check(spec: Value, status: Value, state: HealthState, message: &str) {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "generation": 1},
            "spec": spec, "status": status});
        let health = RuleSet::default().assess(&job, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{job}");
    }

    #[test]
    fn jobs() {
        let start = "2026-01-01T00:00:00Z";
        let with = |kind: &str| {
            json!({"startTime": start, "conditions": [{"type": kind, "status": "True",
            "reason": "BackoffLimitExceeded", "message": "too many"}]})
        };
        check(json!({}), json!({}), InProgress, "has not started yet");
        check(json!({}), json!({"startTime": start, "active": 1}), InProgress, "0 of 1 completions");
        check(
            json!({"completions": 3, "parallelism": 2}),
            json!({"startTime": start, "succeeded": 2}),
            InProgress,
            "2 of 3 completions",
        );
        check(json!({}), with("SuccessCriteriaMet"), InProgress, "0 of 1 completions");
        check(json!({}), with("Complete"), Current, "has completed");
        check(json!({}), with("Failed"), Failed, "has failed, BackoffLimitExceeded: too many");
        check(json!({}), with("FailureTarget"), Failed, "has failed, BackoffLimitExceeded: too many");
        check(json!({"suspend": true}), with("Suspended"), Suspended, "is suspended");
        check(json!({"suspend": true}), json!({}), InProgress, "has not started yet");
        check(json!({"suspend": false}), with("Suspended"), InProgress, "0 of 1 completions");
    }
}
