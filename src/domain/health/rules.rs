//! Which rule judges which kind.
//!
//! The states and most rules are those of kstatus
//! (sigs.k8s.io/cli-utils/pkg/kstatus), because Flux and Kustomizer users know
//! them. Where kstatus takes unfinished work for done, or waits for what never
//! comes, the rule here departs from it and says so.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::Fields;
use super::verdict::{Health, HealthState};
use super::{cluster, generic, jobs, pods, storage, workloads};
use crate::domain::objects::identity::{GroupKind, is_built_in};

type Judge = fn(Fields<'_>, Timestamp) -> Health;

/// A group in which the API server keeps notes of its own.
const INTERNAL: &str = "internal.apiserver.k8s.io";

/// Judges an object by its status. Never fails: a status of an unexpected shape
/// reads as one that is not there yet.
pub fn assess(object: &Value, now: Timestamp) -> Health {
    let fields = Fields(object);
    if fields.has("/metadata/deletionTimestamp") {
        return Health::new(HealthState::Terminating, terminating(fields));
    }
    let group = fields.text("/apiVersion").and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    match rule(group, fields.text("/kind").unwrap_or_default()) {
        Some(judge) => judge(fields, now),
        None => Health::current("exists"),
    }
}

/// Whether objects of this kind can be anything but `Current` while they
/// exist. An object of any kind can be `Terminating`.
pub fn has_rule(kind: &GroupKind) -> bool {
    rule(&kind.group, &kind.kind).is_some()
}

fn rule(group: &str, kind: &str) -> Option<Judge> {
    let judge: Judge = match (group, kind) {
        ("apps", "Deployment") => workloads::deployment,
        ("apps", "StatefulSet") => workloads::stateful_set,
        ("apps", "DaemonSet") => workloads::daemon_set,
        ("apps", "ReplicaSet") | ("", "ReplicationController") => workloads::replica_set,
        ("", "Pod") => pods::pod,
        ("batch", "Job") => jobs::job,
        ("", "PersistentVolumeClaim") => storage::claim,
        ("", "PersistentVolume") => storage::volume,
        ("", "Service") => cluster::service,
        ("", "Namespace") => cluster::namespace,
        ("policy", "PodDisruptionBudget") => cluster::disruption_budget,
        ("autoscaling", "HorizontalPodAutoscaler") => cluster::autoscaler,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => cluster::definition,
        ("apiregistration.k8s.io", "APIService") => cluster::api_service,
        // Its kinds without a rule above have no health.
        _ if is_built_in(group) || group == INTERNAL => return None,
        _ => generic::custom,
    };
    Some(judge)
}

fn terminating(fields: Fields<'_>) -> String {
    let finalizers: Vec<_> = fields.list("/metadata/finalizers").filter_map(Value::as_str).collect();
    match finalizers.as_slice() {
        [] => "is being deleted".to_owned(),
        names => format!("is being deleted, held by {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_with_a_rule() {
        let check = |group: &str, kind: &str, expected: bool| {
            assert_eq!(has_rule(&GroupKind::new(group, kind)), expected, "{kind}.{group}");
        };
        check("apps", "Deployment", true);
        check("apps", "ControllerRevision", false);
        check("", "ConfigMap", false);
        check("", "Secret", false);
        check("", "ServiceAccount", false);
        check("", "Service", true);
        check("rbac.authorization.k8s.io", "ClusterRole", false);
        check("batch", "CronJob", false);
        check("batch", "Job", true);
        check("networking.k8s.io", "Ingress", false);
        check("gateway.networking.k8s.io", "Gateway", true);
        check("example.com", "Deployment", true);
        check("cert-manager.io", "Certificate", true);
    }

    #[test]
    fn kinds_without_a_rule_are_current_until_they_go() {
        let check = |object: Value, state: HealthState, message: &str| {
            let health = assess(&object, Timestamp::UNIX_EPOCH);
            assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
        };
        check(json!({"apiVersion": "v1", "kind": "ConfigMap"}), HealthState::Current, "exists");
        check(
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"suspend": true}}),
            HealthState::Current,
            "exists",
        );
        check(
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                   "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            HealthState::Terminating,
            "is being deleted",
        );
        check(
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                   "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b", "c/d"]}}),
            HealthState::Terminating,
            "is being deleted, held by a/b, c/d",
        );
        // Not manifests at all: no rule may stumble.
        check(json!(null), HealthState::Current, "exists");
        check(json!({"apiVersion": 1, "kind": [], "metadata": "x"}), HealthState::Current, "exists");
    }

    #[test]
    fn no_rule_stumbles_over_a_status_of_another_shape() {
        let kinds = [
            ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "DaemonSet"),
            ("apps/v1", "ReplicaSet"),
            ("v1", "Pod"),
            ("batch/v1", "Job"),
            ("v1", "PersistentVolumeClaim"),
            ("v1", "PersistentVolume"),
            ("v1", "Service"),
            ("v1", "Namespace"),
            ("policy/v1", "PodDisruptionBudget"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("apiregistration.k8s.io/v1", "APIService"),
            ("example.com/v1", "Widget"),
        ];
        let shapes = [
            json!(null),
            json!(1),
            json!([]),
            json!({"conditions": 1}),
            json!({"conditions": [1, null, {"type": 1}, {"type": "Ready"}], "phase": 1, "replicas": "x"}),
            json!({"observedGeneration": "1", "containerStatuses": [1, {"state": {"waiting": []}}]}),
            json!({"observedGeneration": i64::MAX, "replicas": i64::MIN, "readyReplicas": i64::MAX}),
        ];
        for (version, kind) in kinds {
            for status in &shapes {
                for spec in [json!(null), json!({"replicas": i64::MAX, "completions": i64::MIN})] {
                    let object = json!({"apiVersion": version, "kind": kind, "metadata": {"generation": i64::MAX},
                        "spec": spec, "status": status});
                    assess(&object, Timestamp::UNIX_EPOCH);
                }
            }
        }
    }
}
