//! What is left out of a manifest before it is applied: what only the server
//! writes, the replica count that an autoscaler writes, and the write-only half
//! of a Secret.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::domain::object::Object;

/// Metadata that the server writes. Exported objects carry it; applied, it is
/// refused (`managedFields`), a false precondition (`uid`, `resourceVersion`)
/// or drift for ever.
const SERVER_METADATA: [&str; 6] =
    ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"];

/// Removes `status` and the metadata that the server writes.
pub fn server_fields(object: &mut Object) {
    if let Some(fields) = object.value_mut().as_object_mut() {
        fields.remove("status");
    }
    let metadata = object.metadata_mut();
    for field in SERVER_METADATA {
        metadata.remove(field);
    }
}

/// Moves `stringData` of a Secret into its `data`, as the server does when it
/// stores it. Applied as it is, nobody would own what it becomes: an edit of the
/// value would be no drift, and a key that leaves would stay. What is not a mapping of strings is left for the
/// server to refuse.
pub fn secret_strings(object: &mut Object) {
    if !object.is("", "Secret") {
        return;
    }
    let Some(fields) = object.value_mut().as_object_mut() else { return };
    let Some(Value::Object(strings)) = fields.get("stringData") else { return };
    let Some(encoded) = strings
        .iter()
        .map(|(key, value)| Some((key.clone(), Value::from(STANDARD.encode(value.as_str()?)))))
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let data = fields.entry("data").or_insert_with(|| Map::new().into());
    if data.is_null() {
        *data = Map::new().into();
    }
    let Some(data) = data.as_object_mut() else { return };
    data.extend(encoded);
    fields.remove("stringData");
}

/// Leaves `spec.replicas` out of what an autoscaler of the same set scales: a
/// HorizontalPodAutoscaler of any version, or a `ScaledObject` of KEDA.
/// Otherwise every apply would undo the scaling.
pub fn scaled_replicas(objects: &mut [Object]) {
    let scaled: Vec<Target> = objects.iter().filter_map(scale_target).collect();
    if scaled.is_empty() {
        return;
    }
    let mut by_name: HashMap<(&str, &str), Vec<&Target>> = HashMap::new();
    for target in &scaled {
        by_name.entry((&target.namespace, &target.name)).or_default().push(target);
    }
    for object in objects {
        let targets = by_name.get(&(object.namespace(), object.name()));
        let is_target = targets.is_some_and(|targets| targets.iter().any(|target| target.is(object)));
        if is_target && let Some(spec) = object.value_mut().get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("replicas");
        }
    }
}

struct Target {
    /// `None`: the reference does not say, and any will do.
    group: Option<String>,
    kind: String,
    namespace: String,
    name: String,
}

impl Target {
    fn is(&self, object: &Object) -> bool {
        object.kind() == self.kind && self.group.as_deref().is_none_or(|group| group == object.group())
    }
}

fn scale_target(object: &Object) -> Option<Target> {
    // What KEDA assumes; an HPA always names a kind.
    let default_kind = match (object.group(), object.kind()) {
        ("autoscaling", "HorizontalPodAutoscaler") => None,
        ("keda.sh", "ScaledObject") => Some("Deployment"),
        _ => return None,
    };
    let reference = object.value().pointer("/spec/scaleTargetRef")?;
    let text = |field| reference.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let version = text("apiVersion").or(default_kind.map(|_| "apps/v1"));
    Some(Target {
        group: version.map(|version| version.split_once('/').map_or("", |(group, _)| group).to_owned()),
        kind: text("kind").or(default_kind)?.to_owned(),
        namespace: object.namespace().to_owned(),
        name: text("name")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        Object::new(value).unwrap()
    }

    #[test]
    fn what_the_server_writes_is_removed() {
        let mut exported = object(json!({
            "apiVersion": "v1", "kind": "A", "status": {"x": 1}, "spec": {"status": "kept"},
            "metadata": {
                "name": "a", "creationTimestamp": null, "uid": "u", "resourceVersion": "1", "generation": 2,
                "selfLink": "/", "managedFields": [], "finalizers": ["kept"], "ownerReferences": []
            }
        }));
        server_fields(&mut exported);
        assert_eq!(
            exported.value(),
            &json!({
                "apiVersion": "v1", "kind": "A", "spec": {"status": "kept"},
                "metadata": {"name": "a", "finalizers": ["kept"], "ownerReferences": []}
            })
        );
    }

    /// Whether a Deployment `apps/web` keeps its replicas next to the scaler.
    fn keeps(api_version: &str, kind: &str, namespace: &str, target: Value) -> bool {
        let mut objects = [
            object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "namespace": "apps"}, "spec": {"replicas": 3, "paused": true}
            })),
            object(json!({
                "apiVersion": api_version, "kind": kind,
                "metadata": {"name": "web", "namespace": namespace}, "spec": {"scaleTargetRef": target}
            })),
        ];
        scaled_replicas(&mut objects);
        assert_eq!(objects[0].value()["spec"]["paused"], true);
        objects[0].value()["spec"].get("replicas").is_some()
    }

    #[test]
    fn replicas_of_a_scaled_object_are_left_out() {
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let hpa = |target| keeps("autoscaling/v2", "HorizontalPodAutoscaler", "apps", target);
        assert!(!hpa(web.clone()));
        assert!(!hpa(json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "name": "web"})));
        assert!(!hpa(json!({"kind": "Deployment", "name": "web"})));
        assert!(hpa(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"})));
        assert!(hpa(json!({"apiVersion": "x.io/v1", "kind": "Deployment", "name": "web"})));
        assert!(hpa(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "db"})));
        assert!(hpa(json!(null)));
        assert!(keeps("autoscaling/v1", "HorizontalPodAutoscaler", "other", web.clone()));
        assert!(keeps("x.io/v1", "HorizontalPodAutoscaler", "apps", web));
        assert!(!keeps("keda.sh/v1alpha1", "ScaledObject", "apps", json!({"name": "web"})));
    }

    #[test]
    fn the_strings_of_a_secret_become_its_data() {
        let check = |kind: &str, fields: Value, expected: Value| {
            let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "s"}});
            value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let mut object = Object::new(value).unwrap();
            secret_strings(&mut object);
            for field in ["data", "stringData"] {
                assert_eq!(object.value().get(field), expected.get(field), "{field}");
            }
        };
        check("Secret", json!({"stringData": {"a": "b"}}), json!({"data": {"a": "Yg=="}}));
        let both = json!({"data": {"a": "eA==", "c": "eA=="}, "stringData": {"a": "b"}});
        check("Secret", both, json!({"data": {"a": "Yg==", "c": "eA=="}}));
        check("Secret", json!({"data": null, "stringData": {"a": "b"}}), json!({"data": {"a": "Yg=="}}));
        for refused in [json!({"stringData": {"a": 1}}), json!({"stringData": "x"})] {
            check("Secret", refused.clone(), refused);
        }
        check("ConfigMap", json!({"stringData": {"a": "b"}}), json!({"stringData": {"a": "b"}}));
    }
}
