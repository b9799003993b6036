//! Pods that are part of a release.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::Fields;
use super::rule::Rule;
use super::verdict::Health;

/// The rules of this family.
pub fn rule(group: &str, kind: &str) -> Option<Rule> {
    matches!((group, kind), ("", "Pod")).then_some(pod as Rule)
}

pub(super) fn pod(fields: Fields<'_>, _now: Timestamp) -> Health {
    match fields.text("/status/phase").unwrap_or_default() {
        "Succeeded" => Health::current("has completed"),
        // kstatus: current, since nothing more will happen.
        "Failed" => Health::failed(ended(fields)),
        "Running" if fields.holds("Ready").is_some() => Health::current("is ready"),
        "Running" => crashing(fields)
            .unwrap_or_else(|| Health::in_progress(held(fields).unwrap_or("is not ready yet".into()))),
        "Pending" => crashing(fields).unwrap_or_else(|| Health::in_progress(pending(fields))),
        _ => Health::in_progress("has no phase yet"),
    }
}

/// Containers that crash repeatedly, as the kubelet reports them. An image that cannot
/// be pulled may still appear, so that is not a failure.
fn crashing(fields: Fields<'_>) -> Option<Health> {
    let names: Vec<_> =
        waiting(fields).filter(|(_, why)| *why == "CrashLoopBackOff").map(|(name, _)| name).collect();
    match names.as_slice() {
        [] => None,
        [name] => Some(Health::failed(format!("container {name} keeps crashing"))),
        names => Some(Health::failed(format!("containers {} keep crashing", names.join(", ")))),
    }
}

fn held(fields: Fields<'_>) -> Option<String> {
    waiting(fields).next().map(|(name, why)| format!("container {name} is waiting: {why}"))
}

fn pending(fields: Fields<'_>) -> String {
    // kstatus: failed after 15 s. A cluster autoscaler takes minutes, so only the
    // timeout of the release ends this wait; the message has the cause.
    match fields.condition("PodScheduled") {
        Some(c) if c.is("False") => format!("is not scheduled: {}", c.explain()),
        _ => held(fields).unwrap_or("is starting".into()),
    }
}

fn ended(fields: Fields<'_>) -> String {
    match (fields.text("/status/reason"), fields.text("/status/message")) {
        (Some(reason), Some(message)) => format!("has failed, {reason}: {message}"),
        (Some(reason), None) => format!("has failed, {reason}"),
        _ => {
            fields.list("/status/containerStatuses").find_map(exit).unwrap_or_else(|| "has failed".to_owned())
        }
    }
}

fn exit(container: &Value) -> Option<String> {
    let code = container.pointer("/state/terminated/exitCode")?.as_i64().filter(|code| *code != 0)?;
    let name = container.get("name")?.as_str()?;
    Some(format!("has failed, container {name} exited with code {code}"))
}

/// Name and reason of containers that wait, init containers first.
fn waiting<'a>(fields: Fields<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    fields.list("/status/initContainerStatuses").chain(fields.list("/status/containerStatuses")).filter_map(
        |c| {
            let why = c.pointer("/state/waiting/reason")?.as_str()?;
            Some((c.get("name")?.as_str()?, why))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, RuleSet};
    use serde_json::{Value, json};

    fn check(status: Value, state: HealthState, message: &str) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": status});
        let health = RuleSet::default().assess(&pod, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{pod}");
    }

    #[test]
    fn pods() {
        check(json!(null), InProgress, "has no phase yet");
        check(json!({"phase": "Succeeded"}), Current, "has completed");
        check(json!({"phase": "Failed"}), Failed, "has failed");
        check(
            json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
            Failed,
            "has failed, Evicted: low on memory",
        );
        check(
            json!({"phase": "Failed", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 0}}},
                {"name": "b", "state": {"terminated": {"exitCode": 3}}}]}),
            Failed,
            "has failed, container b exited with code 3",
        );
        check(
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
            Current,
            "is ready",
        );
        check(
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}),
            InProgress,
            "is not ready yet",
        );
        let waits = |phase: &str, list: &str, why: &str| json!({"phase": phase, list: [{"name": "a", "state": {"waiting": {"reason": why}}}]});
        check(
            waits("Running", "containerStatuses", "CrashLoopBackOff"),
            Failed,
            "container a keeps crashing",
        );
        check(
            waits("Pending", "initContainerStatuses", "CrashLoopBackOff"),
            Failed,
            "container a keeps crashing",
        );
        check(
            waits("Pending", "containerStatuses", "ImagePullBackOff"),
            InProgress,
            "container a is waiting: ImagePullBackOff",
        );
        check(json!({"phase": "Pending"}), InProgress, "is starting");
        check(
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available"}]}),
            InProgress,
            "is not scheduled: Unschedulable: 0/1 nodes are available",
        );
    }
}
