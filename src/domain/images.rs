//! Which container images a set of manifests runs, and by which digest.
//!
//! Pods are found by their form, at any depth: in a Deployment, a CronJob, a
//! Tekton Pipeline, or a custom resource of which nothing else is known. Whether
//! an image may run is not decided here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::object::Object;

/// The lists of containers of a pod, in the order in which they are told. A
/// Tekton task has `steps` and `sidecars`.
const CONTAINERS: [&str; 5] = ["containers", "initContainers", "ephemeralContainers", "steps", "sidecars"];

/// A place in an object that names an image to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The image, as it is written.
    pub image: String,
    /// The names of the Secrets that the kubelet would pull it with
    /// (`imagePullSecrets` of the same pod), in the object's namespace.
    pub pull_secrets: Vec<String>,
}

/// Every place of an object that names an image: containers (init and ephemeral
/// ones too), Tekton's steps, and image volumes.
pub fn image_places(object: &Object) -> Vec<Place> {
    let mut found = Vec::new();
    for (field, value) in object.value().as_object().into_iter().flatten() {
        // What the server says, and a CRD's schema, name no image to run.
        if !["metadata", "status"].contains(&field.as_str()) {
            walk(value, &below("", field), &mut found);
        }
    }
    found
}

/// The images of one object, each once, as they are written.
pub fn container_images(object: &Object) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let images = image_places(object).into_iter().map(|place| place.image);
    images.filter(|image| seen.insert(image.clone())).collect()
}

/// The images of all objects, each once, sorted.
pub fn distinct_images(objects: &[Object]) -> Vec<String> {
    let all: BTreeSet<String> = objects.iter().flat_map(container_images).collect();
    all.into_iter().collect()
}

/// Writes images by their digests: in place of each that is a key of `pins` its
/// value. Returns how many places were changed.
pub fn pin(object: &mut Object, pins: &BTreeMap<String, String>) -> usize {
    let mut changed = 0;
    for place in image_places(object) {
        let pinned = pins.get(&place.image).filter(|pinned| **pinned != place.image);
        if let (Some(pinned), Some(value)) = (pinned, object.value_mut().pointer_mut(&place.pointer)) {
            *value = Value::String(pinned.clone());
            changed += 1;
        }
    }
    changed
}

// Manifests are nested no deeper than what is read (`manifest::budget`).
fn walk(value: &Value, at: &str, found: &mut Vec<Place>) {
    match value {
        Value::Object(fields) => {
            for list in CONTAINERS {
                containers(fields, list, at, found);
            }
            volumes(fields, at, found);
            fields.iter().for_each(|(field, value)| walk(value, &below(at, field), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| walk(value, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

fn containers(fields: &Map<String, Value>, list: &str, at: &str, found: &mut Vec<Place>) {
    for (n, item) in fields.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
        add(fields, item.get("image"), format!("{at}/{list}/{n}/image"), found);
    }
}

/// KEP-4639: a volume with the content of an image. Only next to containers:
/// `volumes` alone are of many kinds.
fn volumes(fields: &Map<String, Value>, at: &str, found: &mut Vec<Place>) {
    if !fields.get("containers").is_some_and(Value::is_array) {
        return;
    }
    for (n, volume) in fields.get("volumes").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let pointer = format!("{at}/volumes/{n}/image/reference");
        add(fields, volume.pointer("/image/reference"), pointer, found);
    }
}

fn add(pod: &Map<String, Value>, image: Option<&Value>, pointer: String, found: &mut Vec<Place>) {
    if let Some(image) = image.and_then(Value::as_str).filter(|image| !image.is_empty()) {
        let secrets = pod.get("imagePullSecrets").and_then(Value::as_array).into_iter().flatten();
        let names = secrets.filter_map(|secret| secret.get("name")?.as_str());
        let pull_secrets = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        found.push(Place { pointer, image: image.to_owned(), pull_secrets });
    }
}

fn below(at: &str, field: &str) -> String {
    format!("{at}/{}", field.replace('~', "~0").replace('/', "~1"))
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

    #[test]
    fn digests_are_written_wherever_images_are_found() {
        let pod = json!({
            "imagePullSecrets": [{"name": "one"}, {"name": ""}, {}, {"name": "two"}],
            "containers": [{"image": "app:1"}, {"image": "app:1@sha256:old"}, {"image": "other"}],
            "initContainers": [{"image": "app:1"}],
            "ephemeralContainers": [{"image": "app:1"}],
            "volumes": [{"image": {"reference": "app:1"}}, {"configMap": {"image": "app:1"}}],
        });
        let mut all = object("Odd", json!({"a/b~c": {"template": {"spec": pod}}}));
        let places = image_places(&all);
        assert_eq!(places.len(), 6);
        assert_eq!(places[0].pointer, "/a~1b~0c/template/spec/containers/0/image");
        assert_eq!((places[0].pull_secrets.len(), &places[0].pull_secrets[1]), (2, &"two".to_owned()));
        let pins = BTreeMap::from([("app:1".to_owned(), "app:1@sha256:new".to_owned())]);
        assert_eq!(pin(&mut all, &pins), 4);
        assert_eq!(container_images(&all), ["app:1@sha256:new", "app:1@sha256:old", "other"]);
        assert_eq!(all.value().pointer("/a~1b~0c/template/spec/volumes/1/configMap/image").unwrap(), "app:1");
        assert_eq!(pin(&mut all, &pins), 0);
    }

    #[test]
    fn tekton_has_steps_below_the_object() {
        let mut task =
            object("Task", json!({"spec": {"steps": [{"image": "a"}], "sidecars": [{"image": "a"}]}}));
        assert_eq!(pin(&mut task, &BTreeMap::from([("a".to_owned(), "b".to_owned())])), 2);
    }
}
