//! Deployments, StatefulSets, DaemonSets and ReplicaSets: the kinds that run
//! a number of pods.

use jiff::Timestamp;

use super::fields::Fields;
use super::rule::Rule;
use super::verdict::Health;

/// The rules of this family.
pub fn rule(group: &str, kind: &str) -> Option<Rule> {
    let rule: Rule = match (group, kind) {
        ("apps", "Deployment") => deployment,
        ("apps", "StatefulSet") => stateful_set,
        ("apps", "DaemonSet") => daemon_set,
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set,
        _ => return None,
    };
    Some(rule)
}

/// `3 of 5 replicas available`; `None` when nothing is missing.
fn lacking(have: i64, want: i64, what: &str) -> Option<Health> {
    (have < want).then(|| Health::in_progress(format!("{have} of {want} replicas {what}")))
}

fn leaving(have: i64, want: i64) -> Option<Health> {
    (have > want).then(|| {
        let old = have.saturating_sub(want);
        let pods = if old == 1 { "replica" } else { "replicas" };
        Health::in_progress(format!("{old} old {pods} still terminating"))
    })
}

fn all(want: i64) -> Health {
    match want {
        0 => Health::current("scaled to 0"),
        1 => Health::current("1 replica available"),
        n => Health::current(format!("{n} replicas available")),
    }
}

/// Why pods cannot be created (quota, admission), as the controller reports it.
fn refused(fields: Fields<'_>) -> Option<Health> {
    fields
        .holds("ReplicaFailure")
        .map(|c| Health::in_progress(format!("cannot create pods: {}", c.explain())))
}

pub(super) fn deployment(fields: Fields<'_>, _now: Timestamp) -> Health {
    if let Some(health) = fields.unobserved() {
        return health;
    }
    let progressing = fields.condition("Progressing");
    let exceeded = progressing.filter(|c| c.reason() == "ProgressDeadlineExceeded");
    if let Some(c) = exceeded.filter(|c| !fields.predates_apply(*c)) {
        return Health::failed(c.explain());
    }
    let want = fields.number("/spec/replicas").unwrap_or(1);
    let [total, updated, ready, available] =
        ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
            .map(|field| fields.count(&format!("/status/{field}")));
    let behind = lacking(updated, want, "updated")
        .or_else(|| leaving(total, updated))
        .or_else(|| leaving(total, want))
        .or_else(|| lacking(ready, want, "ready"))
        .or_else(|| lacking(available, want, "available"));
    match behind {
        // kstatus waits for the rollout of a paused Deployment, although its spec
        // forbids the rollout.
        Some(_) if fields.flag("/spec/paused") => Health::suspended("its rollout is paused"),
        Some(behind) => refused(fields).unwrap_or(behind),
        // With `maxUnavailable` the condition is false while too few pods are
        // available; with all of them it can lag one update behind.
        None if fields.condition("Available").is_some_and(|c| c.is("False")) => {
            Health::in_progress("not available yet")
        }
        None => all(want),
    }
}

pub(super) fn stateful_set(fields: Fields<'_>, _now: Timestamp) -> Health {
    if let Some(health) = fields.unobserved() {
        return health;
    }
    let want = fields.number("/spec/replicas").unwrap_or(1);
    let [total, updated, ready, available] =
        ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
            .map(|field| fields.count(&format!("/status/{field}")));
    let behind = lacking(ready, want, "ready").or_else(|| leaving(total, want)).or_else(|| {
        lacking(available, want, "available").filter(|_| fields.count("/spec/minReadySeconds") > 0)
    });
    if let Some(behind) = behind {
        return behind;
    }
    // With OnDelete a person decides when pods are replaced; with a partition
    // the ordinals below it keep the old revision.
    if fields.text("/spec/updateStrategy/type") == Some("OnDelete") {
        return all(want);
    }
    let partition = fields.count("/spec/updateStrategy/rollingUpdate/partition");
    if partition > 0 {
        let moving = want.saturating_sub(partition).max(0);
        return lacking(updated, moving, "updated above the partition").unwrap_or_else(|| all(want));
    }
    if fields.text("/status/currentRevision") != fields.text("/status/updateRevision") {
        return lacking(updated, want, "updated")
            .unwrap_or_else(|| Health::in_progress("its rollout is not finished"));
    }
    all(want)
}

pub(super) fn daemon_set(fields: Fields<'_>, _now: Timestamp) -> Health {
    if let Some(health) = fields.unobserved() {
        return health;
    }
    let [want, scheduled, updated, ready, available] = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "updatedNumberScheduled",
        "numberReady",
        "numberAvailable",
    ]
    .map(|field| fields.count(&format!("/status/{field}")));
    let on_delete = fields.text("/spec/updateStrategy/type") == Some("OnDelete");
    lacking(scheduled, want, "scheduled")
        .or_else(|| lacking(updated, want, "updated").filter(|_| !on_delete))
        .or_else(|| lacking(ready, want, "ready"))
        .or_else(|| lacking(available, want, "available"))
        .unwrap_or_else(|| match want {
            0 => Health::current("no node matches"),
            n => all(n),
        })
}

pub(super) fn replica_set(fields: Fields<'_>, _now: Timestamp) -> Health {
    if let Some(health) = fields.unobserved() {
        return health;
    }
    let want = fields.number("/spec/replicas").unwrap_or(1);
    let [total, labelled, ready, available] =
        ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"]
            .map(|field| fields.count(&format!("/status/{field}")));
    let behind = lacking(labelled, want, "exist")
        .or_else(|| leaving(total, want))
        .or_else(|| lacking(ready, want, "ready"))
        .or_else(|| lacking(available, want, "available"));
    match behind {
        Some(behind) => refused(fields).unwrap_or(behind),
        None => all(want),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, RuleSet};
    use serde_json::{Value, json};

    fn check(kind: &str, spec: Value, status: Value, state: HealthState, message: &str) {
        let object = json!({"apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": "web", "generation": 2}, "spec": spec, "status": status});
        let health = RuleSet::default().assess(&object, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
    }

    const UNSEEN: &str = "its controller has not seen the latest change yet";

    #[test]
    fn a_deadline_that_was_exceeded_before_the_last_apply_is_no_failure() {
        let check = |said: &str, state: HealthState, message: &str| {
            let applied = "2026-01-01T00:00:08Z";
            let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "generation": 2, "managedFields": [
                    {"manager": "controller", "operation": "Update", "subresource": "status", "time": said},
                    {"manager": "supercargo", "operation": "Apply", "time": applied}]},
                "spec": {}, "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1,
                    "readyReplicas": 1, "availableReplicas": 1, "conditions": [{"type": "Progressing",
                    "status": "False", "lastUpdateTime": said, "reason": "ProgressDeadlineExceeded"}]}});
            let health = RuleSet::default().assess(&object, jiff::Timestamp::UNIX_EPOCH);
            assert_eq!((health.state, health.message.as_str()), (state, message), "{said}");
        };
        check("2026-01-01T00:00:09Z", Failed, "ProgressDeadlineExceeded");
        check("2026-01-01T00:00:08Z", InProgress, "1 old replica still terminating");
        check("2026-01-01T00:00:07Z", InProgress, "1 old replica still terminating");
    }

    #[test]
    fn deployments() {
        let check = |spec, status, state, message: &str| check("Deployment", spec, status, state, message);
        check(json!({}), json!({}), InProgress, UNSEEN);
        check(json!({"replicas": 0}), json!({}), InProgress, UNSEEN);
        check(json!({}), json!({"observedGeneration": 1, "replicas": 1}), InProgress, UNSEEN);
        let seen = |mut status: Value| {
            status["observedGeneration"] = 2.into();
            status
        };
        check(json!({"replicas": 0}), seen(json!({})), Current, "scaled to 0");
        check(json!({"replicas": 3}), seen(json!({})), InProgress, "0 of 3 replicas updated");
        check(
            json!({"replicas": 3}),
            seen(json!({"replicas": 4, "updatedReplicas": 3, "readyReplicas": 4, "availableReplicas": 4})),
            InProgress,
            "1 old replica still terminating",
        );
        check(
            json!({"replicas": 3}),
            seen(json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 2, "availableReplicas": 2})),
            InProgress,
            "2 of 3 replicas ready",
        );
        check(
            json!({"replicas": 3}),
            seen(json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 2})),
            InProgress,
            "2 of 3 replicas available",
        );
        check(
            json!({"replicas": 3}),
            seen(json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
                "conditions": [{"type": "Available", "status": "True"}]})),
            Current,
            "3 replicas available",
        );
        check(
            json!({}),
            seen(json!({"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1})),
            Current,
            "1 replica available",
        );
        check(
            json!({}),
            seen(json!({"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
                "conditions": [{"type": "Available", "status": "False"}]})),
            InProgress,
            "not available yet",
        );
        check(
            json!({}),
            seen(json!({"replicas": 1, "updatedReplicas": 1, "conditions": [{"type": "Progressing",
                "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]})),
            Failed,
            "ProgressDeadlineExceeded: timed out",
        );
        check(json!({"paused": true}), seen(json!({})), Suspended, "its rollout is paused");
        check(
            json!({}),
            seen(
                json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": "pods \"web-1\" is forbidden: exceeded quota: q"}]}),
            ),
            InProgress,
            "cannot create pods: FailedCreate: pods is forbidden: exceeded quota: q",
        );
    }

    #[test]
    fn stateful_sets() {
        let check = |spec, mut status: Value, state, message: &str| {
            status["observedGeneration"] = 2.into();
            check("StatefulSet", spec, status, state, message);
        };
        check(
            json!({"replicas": 2}),
            json!({"replicas": 1, "readyReplicas": 1}),
            InProgress,
            "1 of 2 replicas ready",
        );
        check(
            json!({"replicas": 1}),
            json!({"replicas": 3, "readyReplicas": 3}),
            InProgress,
            "2 old replicas still terminating",
        );
        let rolling = json!({"replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 1,
            "currentRevision": "a", "updateRevision": "b"});
        check(json!({"replicas": 2}), rolling.clone(), InProgress, "1 of 2 replicas updated");
        check(
            json!({"replicas": 2, "updateStrategy": {"type": "OnDelete"}}),
            rolling.clone(),
            Current,
            "2 replicas available",
        );
        let partition = |n: i64| json!({"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": n}}});
        check(partition(0), rolling.clone(), InProgress, "1 of 2 replicas updated");
        check(partition(1), rolling.clone(), Current, "2 replicas available");
        check(partition(9), rolling, Current, "2 replicas available");
        check(
            json!({"replicas": 2, "minReadySeconds": 10}),
            json!({"replicas": 2, "readyReplicas": 2, "availableReplicas": 1}),
            InProgress,
            "1 of 2 replicas available",
        );
        check(
            json!({"replicas": 1}),
            json!({"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "currentRevision": "b", "updateRevision": "b"}),
            Current,
            "1 replica available",
        );
    }

    #[test]
    fn daemon_sets() {
        check("DaemonSet", json!({}), json!({"desiredNumberScheduled": 1}), InProgress, UNSEEN);
        let check = |spec, mut status: Value, state, message: &str| {
            status["observedGeneration"] = 2.into();
            check("DaemonSet", spec, status, state, message);
        };
        check(json!({}), json!({"desiredNumberScheduled": 0}), Current, "no node matches");
        check(json!({}), json!({"desiredNumberScheduled": 2}), InProgress, "0 of 2 replicas scheduled");
        let old = json!({"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberReady": 2, "numberAvailable": 2});
        check(json!({}), old.clone(), InProgress, "0 of 2 replicas updated");
        check(json!({"updateStrategy": {"type": "OnDelete"}}), old, Current, "2 replicas available");
        check(
            json!({}),
            json!({"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2,
                "numberReady": 2, "numberAvailable": 1}),
            InProgress,
            "1 of 2 replicas available",
        );
    }

    #[test]
    fn replica_sets() {
        let check = |spec, mut status: Value, state, message: &str| {
            status["observedGeneration"] = 2.into();
            check("ReplicaSet", spec, status, state, message);
        };
        check(json!({"replicas": 2}), json!({}), InProgress, "0 of 2 replicas exist");
        check(
            json!({"replicas": 2}),
            json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]}),
            InProgress,
            "cannot create pods: FailedCreate",
        );
        check(
            json!({"replicas": 1}),
            json!({"replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}),
            Current,
            "1 replica available",
        );
    }
}
