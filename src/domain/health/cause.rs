//! Why a workload is not healthy: its status only counts pods, the cause is in the pods.

use jiff::Timestamp;
use serde_json::Value;

use super::rules::RuleSet;
use super::verdict::HealthState;
use crate::domain::objects::identity::GroupKind;

/// Whether objects of the kind run pods that their selector matches.
pub fn runs_pods(kind: &GroupKind) -> bool {
    matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job")
    )
}

/// The label selector of a workload's pods, as it is written in a query.
pub fn pod_selector(workload: &Value) -> Option<String> {
    let selector = workload.pointer("/spec/selector")?;
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let expressions = expressions.filter_map(|expression| {
        let key = expression.get("key")?.as_str()?;
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        Some(match expression.get("operator")?.as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        })
    });
    let all: Vec<String> = labels.chain(expressions).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// The health message of the first failed pod, or else of the first that is not ready.
/// Without the pod's name, which differs in each attempt.
pub fn first_cause(pods: &[Value], now: Timestamp) -> Option<String> {
    let judged: Vec<_> = pods.iter().map(|pod| RuleSet::default().assess(&typed(pod), now)).collect();
    let first = |state: HealthState| judged.iter().find(|health| health.state == state);
    let health = first(HealthState::Failed).or_else(|| first(HealthState::InProgress))?;
    Some(health.message.clone())
}

/// The items of a list name neither their kind nor their version.
fn typed(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if let Some(fields) = pod.as_object_mut() {
        fields.insert("apiVersion".into(), "v1".into());
        fields.insert("kind".into(), "Pod".into());
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_selector_of_a_workload_is_one_of_a_query() {
        let check = |selector: Value, expected: Option<&str>| {
            let workload = json!({"spec": {"selector": selector}});
            assert_eq!(pod_selector(&workload).as_deref(), expected, "{workload}");
        };
        check(json!(null), None);
        check(json!({}), None);
        check(json!({"matchLabels": {"app": "web", "tier": "front"}}), Some("app=web,tier=front"));
        let expressions = json!([
            {"key": "a", "operator": "In", "values": ["x", "y"]},
            {"key": "b", "operator": "NotIn", "values": ["z"]},
            {"key": "c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist"},
        ]);
        check(json!({"matchExpressions": expressions}), Some("a in (x,y),b notin (z),c,!d"));
    }

    #[test]
    fn the_first_cause_is_that_of_a_pod_that_has_failed() {
        let pod = |phase: &str, why: &str| {
            json!({"metadata": {"name": "web-x7k2p"}, "status": {"phase": phase, "containerStatuses": [
                {"name": "web", "state": {"waiting": {"reason": why}}}]}})
        };
        let check = |pods: &[Value], expected: Option<&str>| {
            assert_eq!(first_cause(pods, Timestamp::UNIX_EPOCH).as_deref(), expected);
        };
        check(&[], None);
        check(&[json!({"status": {"phase": "Succeeded"}})], None);
        let pulls = pod("Pending", "ImagePullBackOff");
        check(
            &[json!({"status": {"phase": "Succeeded"}}), pulls.clone()],
            Some("container web is waiting: ImagePullBackOff"),
        );
        check(&[pulls, pod("Running", "CrashLoopBackOff")], Some("container web keeps crashing"));
    }
}
