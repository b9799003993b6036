//! Whether another release has had a revision, healthy, for long enough.

use jiff::Timestamp;

use super::spec::PromotionRule;
use crate::api::release::OCIArtifactRelease;
use crate::api::status::{ReleaseStatus, condition};
use crate::domain::release::readiness::MISSING;

/// Why a release has not had a digest for long enough, as a lowercase fragment that follows its
/// name, and when that changes by time alone; `None` where it has.
///
/// Only the digest that is applied there counts, while it is healthy. Nothing says how long an
/// earlier one stayed healthy.
pub fn unpromoted(
    rule: &PromotionRule,
    digest: &str,
    resource: Option<&OCIArtifactRelease>,
    now: Timestamp,
) -> Option<(String, Option<Timestamp>)> {
    let because = |words: &str| Some((words.to_owned(), None));
    let Some(resource) = resource else { return because(MISSING) };
    if resource.metadata.deletion_timestamp.is_some() {
        return because("is being deleted");
    }
    let nothing = ReleaseStatus::default();
    let status = resource.status.as_ref().unwrap_or(&nothing);
    let applied = status.last_applied_revision.as_deref();
    if applied.is_none_or(|applied| applied.rsplit('@').next() != Some(digest)) {
        return because("has not applied this digest");
    }
    let Some(health) = status.condition(condition::HEALTHY) else {
        return because("does not say whether its objects are healthy: set spec.wait there");
    };
    if health.status != "True" {
        return Some((format!("is not healthy: {}", health.reason), None));
    }
    let rolled_out = status.history.iter().find(|entry| entry.digest == digest);
    let rolled_out = rolled_out.and_then(|entry| entry.applied_at.parse::<Timestamp>().ok());
    // A rollout whose objects are healthy at once does not change the condition.
    let since = rolled_out.into_iter().chain([health.last_transition_time.0]).max()?;
    let at = since.checked_add(rule.healthy_for).ok()?;
    (now < at).then(|| (format!("has it healthy since {since}, which is enough at {at}"), Some(at)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::objects::identity::ReleaseId;

    const D: &str = "sha256:d";

    fn check(status: Option<Value>, expected: Option<(&str, Option<&str>)>) {
        let id = ReleaseId { namespace: "staging".into(), name: "app".into() };
        let rule = PromotionRule { id, healthy_for: Duration::from_secs(1800) };
        let resource = status.map(|status| {
            let resource = json!({
                "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
                "metadata": {"name": "app", "namespace": "staging"},
                "spec": {"url": "oci://r.io/app", "prune": true}, "status": status,
            });
            serde_json::from_value(resource).unwrap()
        });
        let found = unpromoted(&rule, D, resource.as_ref(), "2026-12-01T12:00:00Z".parse().unwrap());
        let found = found.map(|(words, at)| (words, at.map(|at| at.to_string())));
        assert_eq!(found, expected.map(|(words, at)| (words.to_owned(), at.map(str::to_owned))));
    }

    fn status(applied: &str, healthy: Option<(&str, &str)>, history: &[(&str, &str, &str)]) -> Option<Value> {
        let conditions: Vec<Value> = healthy
            .into_iter()
            .map(|(status, since)| {
                json!({"type": "Healthy", "status": status, "reason": "HealthTimeout", "message": "m",
                    "lastTransitionTime": since})
            })
            .collect();
        let history: Vec<Value> = history
            .iter()
            .map(|(digest, at, outcome)| {
                json!({"revision": "r", "digest": digest, "appliedAt": at, "outcome": outcome, "changes":
                    {"created": 0, "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0}})
            })
            .collect();
        Some(
            json!({"lastAppliedRevision": format!("1@{applied}"), "conditions": conditions, "history": history}),
        )
    }

    #[test]
    fn a_digest_counts_while_it_is_applied_and_healthy() {
        check(None, Some(("does not exist", None)));
        check(Some(json!({})), Some(("has not applied this digest", None)));
        let old = "2026-12-01T11:00:00Z";
        check(status("sha256:o", Some(("True", old)), &[]), Some(("has not applied this digest", None)));
        check(
            status(D, None, &[]),
            Some(("does not say whether its objects are healthy: set spec.wait there", None)),
        );
        check(status(D, Some(("False", old)), &[]), Some(("is not healthy: HealthTimeout", None)));
        check(status(D, Some(("True", old)), &[(D, old, "Healthy")]), None);
        let young = "has it healthy since 2026-12-01T11:45:00Z, which is enough at 2026-12-01T12:15:00Z";
        let at = Some("2026-12-01T12:15:00Z");
        check(status(D, Some(("True", "2026-12-01T11:45:00Z")), &[(D, old, "Healthy")]), Some((young, at)));
        // The objects of the rollout were healthy at once.
        check(status(D, Some(("True", old)), &[(D, "2026-12-01T11:45:00Z", "Healthy")]), Some((young, at)));
        // It has had another one since: nothing says how well it was.
        let next = ("sha256:n", "2026-12-01T11:55:00Z", "Failed");
        check(
            status("sha256:n", None, &[next, (D, old, "Healthy")]),
            Some(("has not applied this digest", None)),
        );
    }
}
