//! Which rule judges which kind.
//!
//! The states and most rules are those of kstatus
//! (sigs.k8s.io/cli-utils/pkg/kstatus), because Flux and Kustomizer users know
//! them. Where kstatus accepts unfinished work, or waits for something that never
//! happens, the rule here differs, and its comment says so.

pub mod expressions;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use self::expressions::{ExpressionRule, ExpressionRules};
use super::catalogue::CatalogueEntry;
use super::fields::{Fields, Reports};
use super::rule::Rule;
use super::verdict::{Health, HealthState};
use super::{catalogue, cluster, jobs, ladder, pods, storage, workloads};
use crate::domain::objects::identity::{GroupKind, is_built_in};
use crate::domain::release::Release;

/// The rules for a family of kinds, by group and kind; none for other kinds.
type Family = fn(&str, &str) -> Option<Rule>;

/// The rules of the kinds that are built into Kubernetes, one file per family. The first
/// family with a rule for a kind judges it.
const BUILT_IN: &[Family] = &[workloads::rule, pods::rule, jobs::rule, storage::rule, cluster::rule];

/// A group that the API server uses internally.
const INTERNAL: &str = "internal.apiserver.k8s.io";

/// How a kind is judged.
enum Judge<'r> {
    /// By an expression of the release.
    Expression(&'r ExpressionRule),
    /// By a rule of its own.
    Rule(Rule),
    /// By its entry in the catalogue.
    Entry(&'static CatalogueEntry),
    /// By the ladder for all other custom resources.
    Ladder,
    /// It is current once it exists.
    Nothing,
}

/// The rules by which the objects of a release are judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    /// What replaces the built-in rules.
    own: Arc<ExpressionRules>,
}

impl RuleSet {
    /// The rules of a release.
    pub fn of(release: &Release) -> Self {
        Self::with(Arc::clone(&release.health_rules))
    }

    /// The built-in rules, but for the kinds that these are for.
    pub fn with(own: Arc<ExpressionRules>) -> Self {
        Self { own }
    }

    /// The expressions for a kind, if there are any.
    pub fn own(&self, kind: &GroupKind) -> Option<&ExpressionRule> {
        self.own.of(&kind.group, &kind.kind)
    }

    /// Judges an object by its status. Never fails: a status of an unexpected shape
    /// counts as missing.
    pub fn assess(&self, object: &Value, now: Timestamp) -> Health {
        self.assess_of(Reports::Unknown, object, now)
    }

    /// The same, where it is known whether objects of the kind have a status.
    pub fn assess_of(&self, reports: Reports, object: &Value, now: Timestamp) -> Health {
        let fields = Fields::of(object, reports);
        if fields.has("/metadata/deletionTimestamp") {
            return Health::new(HealthState::Terminating, terminating(fields));
        }
        let group = fields.text("/apiVersion").and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
        match self.judge(group, fields.text("/kind").unwrap_or_default()) {
            Judge::Expression(rule) => rule.judge(object, fields),
            Judge::Rule(rule) => rule(fields, now),
            Judge::Entry(entry) => entry.judge(fields, now),
            Judge::Ladder => ladder::custom(fields, now),
            Judge::Nothing => Health::current("exists"),
        }
    }

    /// Whether objects of this kind can be anything but `Current` while they
    /// exist. An object of any kind can be `Terminating`.
    pub fn has_rule(&self, kind: &GroupKind) -> bool {
        match self.judge(&kind.group, &kind.kind) {
            Judge::Expression(rule) => rule.can_be_unhealthy(),
            Judge::Rule(_) | Judge::Ladder => true,
            Judge::Entry(entry) => entry.can_be_unhealthy(),
            Judge::Nothing => false,
        }
    }

    fn judge(&self, group: &str, kind: &str) -> Judge<'_> {
        if let Some(rule) = self.own.of(group, kind) {
            return Judge::Expression(rule);
        }
        if let Some(rule) = BUILT_IN.iter().find_map(|family| family(group, kind)) {
            return Judge::Rule(rule);
        }
        if is_built_in(group) || group == INTERNAL {
            return Judge::Nothing;
        }
        catalogue::find(group, kind).map_or(Judge::Ladder, Judge::Entry)
    }
}

fn terminating(fields: Fields<'_>) -> String {
    let finalizers: Vec<_> = fields.list("/metadata/finalizers").filter_map(Value::as_str).collect();
    match finalizers.as_slice() {
        [] => "is being deleted".to_owned(),
        names => format!("is being deleted, waiting for finalizers: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_with_a_rule() {
        let check = |group: &str, kind: &str, expected: bool| {
            assert_eq!(RuleSet::default().has_rule(&GroupKind::new(group, kind)), expected, "{kind}.{group}");
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
        check("networking.k8s.io", "Ingress", true);
        check("networking.k8s.io", "NetworkPolicy", false);
        check("gateway.networking.k8s.io", "Gateway", true);
        check("example.com", "Deployment", true);
        check("cert-manager.io", "Certificate", true);
    }

    #[test]
    fn kinds_without_a_rule_are_current_until_they_go() {
        let check = |object: Value, state: HealthState, message: &str| {
            let health = RuleSet::default().assess(&object, Timestamp::UNIX_EPOCH);
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
            "is being deleted, waiting for finalizers: a/b, c/d",
        );
        // Not manifests at all: no rule may panic.
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
                    RuleSet::default().assess(&object, Timestamp::UNIX_EPOCH);
                }
            }
        }
    }
}
