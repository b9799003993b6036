//! Which kinds run pods, and how those are selected.

use serde_json::Value;

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
}
