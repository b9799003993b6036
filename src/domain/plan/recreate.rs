//! Whether an object whose update is refused is deleted and recreated, and the
//! hint for users where it is not.

use serde_json::{Map, Value};

use crate::api::keys;
use crate::domain::objects::identity::ReleaseId;
use crate::domain::objects::object::Object;

/// The kinds whose deletion also deletes the data in them.
const HOLD_DATA: [(&str, &str); 6] = [
    ("", "Namespace"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("snapshot.storage.k8s.io", "VolumeSnapshot"),
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent"),
];

/// The input of the decision.
#[derive(Clone, Copy, Debug)]
pub struct RecreateQuestion<'a> {
    /// The release.
    pub release: &'a ReleaseId,
    /// For objects in another cluster: the id of the cluster that has the release.
    pub mark: Option<&'a str>,
    /// Whether the release asks for recreation.
    pub force: bool,
    /// Whether the object's annotation allows its recreation or forbids it.
    pub object_force: Option<bool>,
    /// Whether the live object is the one in the inventory.
    pub is_observed: bool,
    /// Whether the inventory has the object without its uid: a run has named it before it created
    /// it, and was cut off.
    pub is_named: bool,
}

/// What is done with an existing object whose update is refused, provided that it
/// would be accepted as a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recreation {
    /// It is recreated.
    Now,
    /// It is recreated once it has finished: a running Job.
    Later,
    /// It is recreated only with force.
    Unasked,
    /// Its annotation forbids it.
    OptedOut,
    /// It is never recreated: its data would be lost.
    Never(&'static str),
}

/// The decision. `live` is the whole object as it is now.
pub fn decide(question: RecreateQuestion<'_>, object: &Object, live: &Value) -> Recreation {
    if HOLD_DATA.iter().any(|(group, kind)| object.is(group, kind)) {
        return Recreation::Never("its data would be lost");
    }
    let deletes_claims = live.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted");
    if object.is("apps", "StatefulSet") && deletes_claims.is_some_and(|policy| policy == "Delete") {
        return Recreation::Never("its persistentVolumeClaimRetentionPolicy would delete its volumes");
    }
    match question.object_force {
        Some(true) => Recreation::Now,
        Some(false) => Recreation::OptedOut,
        None if question.force => Recreation::Now,
        // A changed Job is a new run. One that has finished is recreated without
        // force, if it is provably ours.
        None if object.is("batch", "Job") && is_ours(question, live) => match is_over(live) {
            true => Recreation::Now,
            false => Recreation::Later,
        },
        None => Recreation::Unasked,
    }
}

fn is_ours(question: RecreateQuestion<'_>, live: &Value) -> bool {
    let of = |field: &str, key: &str| live["metadata"][field][key].as_str().map(str::to_owned);
    let owner = (of("labels", keys::OWNER_NAMESPACE), of("labels", keys::OWNER_NAME));
    let me = (Some(question.release.namespace.clone()), Some(question.release.name.clone()));
    // The uid of a step is in its record, until another revision begins its own.
    let is_step = question.is_named && of("annotations", keys::STEP_RUN).is_some();
    (question.is_observed || is_step)
        && owner == me
        && of("labels", keys::OWNER_CLUSTER).as_deref() == question.mark
        && of("annotations", keys::PRUNE).as_deref() != Some(keys::DISABLED)
}

fn is_over(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|c| (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True")
}

impl Recreation {
    /// The hint after the refusal. `force` is the field or flag that allows it.
    pub fn hint(self, kind: &str, force: &str) -> String {
        match self {
            Self::Now | Self::Unasked => {
                format!("to recreate it, use {force} or set supercargo.dev/force: enabled on the object")
            }
            Self::Later => format!(
                "it has not finished yet and will be recreated when it finishes; to recreate it now, use \
                 {force} or set supercargo.dev/force: enabled on the object"
            ),
            Self::OptedOut => "supercargo.dev/force: disabled on the object prevents recreation".to_owned(),
            Self::Never(why) => format!(
                "force never recreates a {kind}, because {why}: revert the field, or delete the object yourself"
            ),
        }
    }
}

/// The object that is tried as a new one next to the live one: without the values
/// that only one of the two can have, where the live one has them.
pub fn trial(object: &Value, live: &Value) -> Value {
    let mut trial = object.clone();
    match object["kind"].as_str() {
        Some("Service") if object["apiVersion"] == "v1" => {
            if let Some(spec) = trial.get_mut("spec").and_then(Value::as_object_mut) {
                share_service(spec, &live["spec"]);
            }
        }
        Some("PriorityClass") if live["globalDefault"] == true => {
            if let Some(fields) = trial.as_object_mut() {
                fields.remove("globalDefault");
            }
        }
        _ => {}
    }
    trial
}

/// Removes the addresses and ports of the live Service from its successor.
fn share_service(spec: &mut Map<String, Value>, live: &Value) {
    let held = |address: &Value| {
        address != "None" && live["clusterIPs"].as_array().is_some_and(|a| a.contains(address))
    };
    if spec.get("clusterIP").is_some_and(held) {
        spec.remove("clusterIP");
    }
    if spec.get("clusterIPs").and_then(Value::as_array).is_some_and(|all| all.iter().any(held)) {
        spec.remove("clusterIPs");
    }
    if spec.get("healthCheckNodePort").is_some_and(|port| *port == live["healthCheckNodePort"]) {
        spec.remove("healthCheckNodePort");
    }
    let held: Vec<&Value> =
        live["ports"].as_array().into_iter().flatten().filter_map(|port| port.get("nodePort")).collect();
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut()
            && port.get("nodePort").is_some_and(|n| held.contains(&n))
        {
            port.remove("nodePort");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_may_be_deleted_is_recreated() {
        let me = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let labels = json!({"supercargo.dev/namespace": "apps", "supercargo.dev/name": "web"});
        let bare = |annotations: Value| json!({"metadata": {"labels": labels, "annotations": annotations}});
        let ended = |kind: &str, status: &str| {
            let mut live = bare(json!({}));
            live["status"] = json!({"conditions": [{"type": kind, "status": status}]});
            live
        };
        let check = |kind: &str,
                     force: bool,
                     of_object: Option<bool>,
                     is_observed: bool,
                     live: &Value,
                     expected: Recreation| {
            let version = match kind {
                "Job" => "batch/v1",
                "StatefulSet" | "Deployment" => "apps/v1",
                "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
                "VolumeSnapshot" => "snapshot.storage.k8s.io/v1",
                _ => "v1",
            };
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
            let question = RecreateQuestion {
                release: &me,
                mark: None,
                force,
                object_force: of_object,
                is_observed,
                is_named: !is_observed,
            };
            let object = Object::new(object).unwrap();
            assert_eq!(
                decide(question, &object, live),
                expected,
                "{kind} {force} {of_object:?} {is_observed} {live}"
            );
        };
        use Recreation::{Later, Never, Now, OptedOut, Unasked};
        let plain = bare(json!({}));
        check("Service", false, None, true, &plain, Unasked);
        check("Service", true, None, true, &plain, Now);
        check("Service", false, Some(true), true, &plain, Now);
        check("Service", true, Some(false), true, &plain, OptedOut);
        let data = Never("its data would be lost");
        for kind in [
            "Namespace",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "CustomResourceDefinition",
            "VolumeSnapshot",
        ] {
            check(kind, true, Some(true), true, &plain, data);
        }
        let policy = |deleted: &str| json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted}}});
        check("StatefulSet", true, None, true, &policy("Retain"), Now);
        let volumes = Never("its persistentVolumeClaimRetentionPolicy would delete its volumes");
        check("StatefulSet", true, None, true, &policy("Delete"), volumes);

        for over in [ended("Complete", "True"), ended("Failed", "True")] {
            check("Job", false, None, true, &over, Now);
            check("Job", false, Some(false), true, &over, OptedOut);
            check("Job", false, None, false, &over, Unasked);
            check("Deployment", false, None, true, &over, Unasked);
        }
        for on in
            [plain, ended("Complete", "False"), ended("Suspended", "True"), ended("FailureTarget", "True")]
        {
            check("Job", false, None, true, &on, Later);
            check("Job", true, None, true, &on, Now);
        }
        let mut kept = ended("Complete", "True");
        kept["metadata"]["annotations"] = json!({"supercargo.dev/prune": "disabled"});
        check("Job", false, None, true, &kept, Unasked);
        let mut step = ended("Complete", "True");
        step["metadata"]["annotations"] = json!({"supercargo.dev/step-run": "k.1"});
        check("Job", false, None, false, &step, Now);
        step["status"] = json!({});
        check("Job", false, None, false, &step, Later);
        let mut strange = ended("Complete", "True");
        strange["metadata"]["labels"] = json!({});
        check("Job", false, None, true, &strange, Unasked);
    }

    #[test]
    fn the_successor_is_tried_without_what_the_live_object_holds() {
        let check = |kind: &str, mut wanted: Value, mut live: Value, expected: Value| {
            for value in [&mut wanted, &mut live] {
                value["apiVersion"] = "v1".into();
                value["kind"] = kind.into();
            }
            let mut trial = trial(&wanted, &live);
            trial.as_object_mut().unwrap().retain(|field, _| field != "apiVersion" && field != "kind");
            assert_eq!(trial, expected, "{wanted}");
        };
        let service = |ip: &str, port: u16| json!({"spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"port": 80, "nodePort": port}, {"port": 81}]}});
        let live = service("10.0.0.1", 30080);
        let free = json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}});
        check("Service", service("10.0.0.1", 30080), live.clone(), free);
        check("Service", service("10.0.0.2", 30081), live.clone(), service("10.0.0.2", 30081));
        check("Service", service("None", 30081), service("None", 30080), service("None", 30081));
        check("ConfigMap", live.clone(), live.clone(), live);
        let default = json!({"globalDefault": true, "value": 1});
        check("PriorityClass", default.clone(), default.clone(), json!({"value": 1}));
        check("PriorityClass", default.clone(), json!({"value": 1}), default);
    }
}
