//! Which pods are those of a workload's current revision.

use serde_json::Value;

use crate::domain::health::cause::{pod_selector, runs_pods};
use crate::domain::health::early::handling::FailureHandling;
use crate::domain::health::fields::{Fields, Reports};
use crate::domain::health::pods::FAILURES_ALLOWED;
use crate::domain::objects::identity::GroupKind;

/// The label of a ReplicaSet's pods, and of the ReplicaSet.
const TEMPLATE_HASH: &str = "pod-template-hash";
const REVISION_HASH: &str = "controller-revision-hash";
/// The label of a DaemonSet's pods, and the annotation of the DaemonSet that it repeats.
const GENERATION: &str = "pod-template-generation";
const DAEMON_SET_GENERATION: &str = "/metadata/annotations/deprecated.daemonset.template.generation";
const DEPLOYMENT_REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";

/// Which pods of a workload are those of its current revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrentPods {
    /// All.
    All,
    /// Those with this label.
    Labelled(String),
    /// Those of its ReplicaSet of this revision.
    OfReplicaSet(String),
}

/// How failures of a workload's pods are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureBudget {
    /// Each pod may have so many.
    PerPod(u32),
    /// All pods together may have so many: each attempt of a Job is a pod of its own.
    Together(u32),
    /// Any number: the controller of the workload counts.
    Unlimited,
}

/// A workload, as far as its pods are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its uid.
    pub uid: String,
    /// Its label selector, as in a query.
    pub selector: String,
    /// Which of the pods count.
    pub current: CurrentPods,
    /// How often they may fail.
    pub budget: FailureBudget,
}

/// The pods of a workload's current revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSelection {
    /// The uid of the object that controls them.
    pub owner: String,
    /// Their label selector, as in a query.
    pub selector: String,
}

impl Workload {
    /// From one read of the object. `None` when it runs no pods, or when its controller has
    /// not seen its present spec: its pods are those of an earlier one then.
    pub fn of(object: &Value) -> Option<Self> {
        let fields = Fields::of(object, Reports::Unknown);
        let (group, _) = fields.text("/apiVersion")?.split_once('/')?;
        let kind = GroupKind::new(group, fields.text("/kind")?);
        if !runs_pods(&kind) || (kind.group == "apps" && fields.unobserved().is_some()) {
            return None;
        }
        let current = match kind.kind.as_str() {
            "Deployment" => CurrentPods::OfReplicaSet(fields.text(DEPLOYMENT_REVISION)?.to_owned()),
            "StatefulSet" => {
                CurrentPods::Labelled(format!("{REVISION_HASH}={}", fields.text("/status/updateRevision")?))
            }
            "DaemonSet" => match fields.text(DAEMON_SET_GENERATION) {
                Some(generation) => CurrentPods::Labelled(format!("{GENERATION}={generation}")),
                None => CurrentPods::All,
            },
            _ => CurrentPods::All,
        };
        let allowed = FailureHandling::of(object).failures_allowed;
        let budget = match (kind.kind.as_str(), allowed) {
            ("Job", Some(allowed)) => FailureBudget::Together(allowed),
            // Its spec.backoffLimit is the same promise.
            ("Job", None) => FailureBudget::Unlimited,
            (_, allowed) => FailureBudget::PerPod(allowed.unwrap_or(FAILURES_ALLOWED)),
        };
        let uid = fields.text("/metadata/uid")?.to_owned();
        Some(Self { uid, selector: pod_selector(object)?, current, budget })
    }

    /// Its pods. `None` when its current ReplicaSet is not among these, which only a
    /// Deployment needs.
    pub fn pods(&self, replica_sets: &[Value]) -> Option<PodSelection> {
        let (owner, term) = match &self.current {
            CurrentPods::All => (self.uid.clone(), None),
            CurrentPods::Labelled(term) => (self.uid.clone(), Some(term.clone())),
            CurrentPods::OfReplicaSet(revision) => {
                let is_current = |set: &&Value| {
                    is_controlled_by(set, &self.uid)
                        && set.pointer(DEPLOYMENT_REVISION).and_then(Value::as_str) == Some(revision)
                };
                let set = replica_sets.iter().find(is_current)?;
                let hash = set.pointer("/metadata/labels")?.get(TEMPLATE_HASH)?.as_str()?;
                let uid = set.pointer("/metadata/uid")?.as_str()?;
                (uid.to_owned(), Some(format!("{TEMPLATE_HASH}={hash}")))
            }
        };
        let selector = match term {
            Some(term) => format!("{},{term}", self.selector),
            None => self.selector.clone(),
        };
        Some(PodSelection { owner, selector })
    }
}

/// Whether an object is controlled by the one with this uid.
pub fn is_controlled_by(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| {
        owner.get("controller").and_then(Value::as_bool) == Some(true)
            && owner.get("uid").and_then(Value::as_str) == Some(uid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(version: &str, kind: &str, extra: Value) -> Value {
        let mut object = json!({"apiVersion": version, "kind": kind,
            "metadata": {"uid": "u", "generation": 2, "annotations": {}},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": {"observedGeneration": 2}});
        for (pointer, value) in extra.as_object().unwrap() {
            let (parent, key) = pointer.rsplit_once('|').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        object
    }

    #[test]
    fn the_current_pods_of_each_kind() {
        use CurrentPods::{All, Labelled, OfReplicaSet};
        let check = |version: &str, kind: &str, extra: Value, expected: Option<CurrentPods>| {
            let object = workload(version, kind, extra);
            assert_eq!(Workload::of(&object).map(|w| w.current), expected, "{object}");
        };
        let revision = json!({"/metadata/annotations|deployment.kubernetes.io/revision": "3"});
        check("apps/v1", "Deployment", revision.clone(), Some(OfReplicaSet("3".into())));
        check("apps/v1", "Deployment", json!({}), None);
        let mut behind = revision;
        behind["/status|observedGeneration"] = 1.into();
        check("apps/v1", "Deployment", behind, None);
        let update = json!({"/status|updateRevision": "web-5"});
        check("apps/v1", "StatefulSet", update, Some(Labelled("controller-revision-hash=web-5".into())));
        check("apps/v1", "StatefulSet", json!({}), None);
        let generation = json!({"/metadata/annotations|deprecated.daemonset.template.generation": "4"});
        check("apps/v1", "DaemonSet", generation, Some(Labelled("pod-template-generation=4".into())));
        check("apps/v1", "DaemonSet", json!({}), Some(All));
        check("apps/v1", "ReplicaSet", json!({}), Some(All));
        check("batch/v1", "Job", json!({"/status|observedGeneration": null}), Some(All));
        check("v1", "Pod", json!({}), None);
        check("example.com/v1", "Deployment", json!({}), None);
        check("apps/v1", "ReplicaSet", json!({"/spec|selector": {}}), None);
    }

    #[test]
    fn the_budget_of_a_job_is_its_own_unless_it_is_annotated() {
        let check = |kind: &str, allowed: Option<&str>, expected: FailureBudget| {
            let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
            let extra = match allowed {
                Some(allowed) => json!({"/metadata/annotations|supercargo.dev/failures-allowed": allowed}),
                None => json!({}),
            };
            assert_eq!(Workload::of(&workload(version, kind, extra)).unwrap().budget, expected, "{kind}");
        };
        check("ReplicaSet", None, FailureBudget::PerPod(1));
        check("ReplicaSet", Some("0"), FailureBudget::PerPod(0));
        check("Job", None, FailureBudget::Unlimited);
        check("Job", Some("2"), FailureBudget::Together(2));
    }

    #[test]
    fn the_pods_of_a_deployment_are_those_of_its_current_replica_set() {
        let set = |uid: &str, owner: &str, revision: &str, hash: &str| {
            json!({"metadata": {"uid": uid, "labels": {"pod-template-hash": hash},
                "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [{"uid": owner, "controller": true}]}})
        };
        let revision = json!({"/metadata/annotations|deployment.kubernetes.io/revision": "2"});
        let workload = Workload::of(&workload("apps/v1", "Deployment", revision)).unwrap();
        let check = |sets: &[Value], expected: Option<(&str, &str)>| {
            let expected = expected
                .map(|(owner, selector)| PodSelection { owner: owner.into(), selector: selector.into() });
            assert_eq!(workload.pods(sets), expected, "{sets:?}");
        };
        check(&[], None);
        check(&[set("old", "u", "1", "a"), set("foreign", "x", "2", "b")], None);
        check(
            &[set("old", "u", "1", "a"), set("new", "u", "2", "c")],
            Some(("new", "app=web,pod-template-hash=c")),
        );
    }
}
