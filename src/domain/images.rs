//! Which container images a set of manifests runs.
//!
//! Pods are found by their form, at any depth: in a Deployment, a CronJob, a
//! Tekton Pipeline, or a custom resource of which nothing else is known.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::object::Object;

/// The lists of containers of a pod, in the order in which they are told. A
/// Tekton task has `steps` and `sidecars`.
const CONTAINERS: [&str; 5] = ["containers", "initContainers", "ephemeralContainers", "steps", "sidecars"];

/// The images of one object, each once, as they are written: of containers
/// (init and ephemeral ones too), of Tekton's steps, and of image volumes.
pub fn container_images(object: &Object) -> Vec<String> {
    let mut found = Vec::new();
    for (field, value) in object.value().as_object().into_iter().flatten() {
        // What the server says, and a CRD's schema, name no image to run.
        if !["metadata", "status"].contains(&field.as_str()) {
            walk(value, &mut found);
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|image| seen.insert(image.clone()));
    found
}

/// The images of all objects, each once, sorted.
pub fn distinct_images(objects: &[Object]) -> Vec<String> {
    let all: BTreeSet<String> = objects.iter().flat_map(container_images).collect();
    all.into_iter().collect()
}

// Manifests are nested no deeper than what is read (`manifest::budget`).
fn walk(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for list in CONTAINERS {
                images(fields, list, "image", found);
            }
            volumes(fields, found);
            fields.values().for_each(|value| walk(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
        _ => {}
    }
}

fn images(fields: &Map<String, Value>, list: &str, field: &str, found: &mut Vec<String>) {
    for item in fields.get(list).and_then(Value::as_array).into_iter().flatten() {
        add(item.get(field), found);
    }
}

/// KEP-4639: a volume with the content of an image. Only next to containers:
/// `volumes` alone are of many kinds.
fn volumes(fields: &Map<String, Value>, found: &mut Vec<String>) {
    if !fields.get("containers").is_some_and(Value::is_array) {
        return;
    }
    for volume in fields.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        add(volume.pointer("/image/reference"), found);
    }
}

fn add(image: Option<&Value>, found: &mut Vec<String>) {
    if let Some(image) = image.and_then(Value::as_str).filter(|image| !image.is_empty()) {
        found.push(image.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, rest: Value) -> Object {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}});
        for (key, value) in rest.as_object().unwrap() {
            object[key] = value.clone();
        }
        Object::new(object).unwrap()
    }

    #[test]
    fn images_are_found_wherever_a_pod_is() {
        let check = |kind: &str, rest: Value, expected: &[&str]| {
            assert_eq!(container_images(&object(kind, rest)), expected, "{kind}");
        };
        let pod = |image: &str| json!({"spec": {"containers": [{"name": "a", "image": image}]}});
        check("Pod", pod("x:1"), &["x:1"]);
        check("Deployment", json!({"spec": {"template": pod("x:2")}}), &["x:2"]);
        check("PodTemplate", json!({"template": pod("x:3")}), &["x:3"]);
        check("CronJob", json!({"spec": {"jobTemplate": {"spec": {"template": pod("x:4")}}}}), &["x:4"]);
        check("Rollout", json!({"spec": {"template": pod("x:5")}}), &["x:5"]);
        check(
            "JobSet",
            json!({"spec": {"replicatedJobs": [{"template": {"spec": {"template": pod("x:6")}}}]}}),
            &["x:6"],
        );
        check(
            "Pod",
            json!({"spec": {
                "containers": [{"image": "b"}, {"image": "a"}, {"image": "b"}, {"name": "none"}, {"image": ""}],
                "initContainers": [{"image": "init"}],
                "ephemeralContainers": [{"image": "debug"}],
                "volumes": [{"name": "v", "image": {"reference": "volume"}}, {"name": "w", "emptyDir": {}}]}}),
            &["b", "a", "init", "debug", "volume"],
        );
        check(
            "Task",
            json!({"spec": {"steps": [{"image": "step"}], "sidecars": [{"image": "side"}]}}),
            &["step", "side"],
        );
        check(
            "Pipeline",
            json!({"spec": {"tasks": [{"taskSpec": {"steps": [{"image": "step"}]}}]}}),
            &["step"],
        );
    }

    #[test]
    fn what_is_no_image_is_not_told() {
        let check = |kind: &str, rest: Value| {
            assert!(container_images(&object(kind, rest)).is_empty(), "{kind}");
        };
        check("Pod", json!({"status": {"containers": [{"image": "x"}]}}));
        check("ConfigMap", json!({"data": {"pod": "{containers: [{image: x}]}"}}));
        check(
            "CustomResourceDefinition",
            json!({"spec": {"schema": {"containers": {"items": {"image": {"type": "string"}}}}}}),
        );
        check("Pod", json!({"spec": {"containers": [{"image": 1}]}}));
        check("Storage", json!({"spec": {"volumes": [{"image": {"reference": "x"}}]}}));
    }

    #[test]
    fn the_images_of_all_are_sorted() {
        let pod = |images: &[&str]| {
            let list: Vec<Value> = images.iter().map(|i| json!({"image": i})).collect();
            object("Pod", json!({"spec": {"containers": list}}))
        };
        assert_eq!(distinct_images(&[pod(&["c", "a"]), pod(&["b", "a"])]), ["a", "b", "c"]);
    }
}
