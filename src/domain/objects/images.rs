//! Which container images a set of manifests runs, and by which digest.
//!
//! Pods are found by their form, at any depth: in a Deployment, a CronJob, a
//! Tekton Pipeline, an Argo Workflow, or an unknown custom resource. Fields that are
//! only possibly images are listed separately. Whether an image may run is not
//! decided here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::identity::is_built_in;
use super::object::Object;

/// The fields with the containers of a pod, in the order in which they are reported:
/// lists, or maps by name. A Tekton task has `steps` and `sidecars`.
const CONTAINERS: [&str; 5] = ["containers", "initContainers", "ephemeralContainers", "steps", "sidecars"];
/// The fields with a single container: templates of Argo Workflows, tasks of Tekton.
const CONTAINER: [&str; 3] = ["container", "script", "stepTemplate"];
/// Fields whose `image` is not a container image: a Ceph volume.
const OTHER_IMAGES: [&str; 1] = ["rbd"];
/// A place in an object that names an image to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlace {
    /// The place: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The image, as it is written.
    pub image: String,
    /// The names of the Secrets that the kubelet would pull it with
    /// (`imagePullSecrets` of the same pod), in the object's namespace.
    pub pull_secrets: Vec<String>,
}

/// Every place of an object that names an image: containers (init and ephemeral
/// ones too) in a list, in a map or single, Tekton's steps, and image volumes.
pub fn image_places(object: &Object) -> Vec<ImagePlace> {
    let places = places(object).into_iter().filter(|(form, _)| *form == Form::Known);
    places.map(|(_, place)| place).collect()
}

/// The places of an object that possibly name an image, in a kind whose fields are not
/// known: fields `image` with a text, in kinds that are not built in.
pub fn doubtful_places(object: &Object) -> Vec<ImagePlace> {
    if is_built_in(object.group()) {
        return Vec::new();
    }
    let places = places(object).into_iter().filter(|(form, _)| *form == Form::Doubtful);
    places.map(|(_, place)| place).collect()
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

/// Pins images to their digests: replaces each image that is a key of `pins` with its
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

/// How sure it is that a place names an image to run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Known,
    Doubtful,
}

fn places(object: &Object) -> Vec<(Form, ImagePlace)> {
    let mut search = Search::default();
    search.walk(object.value(), "", &[]);
    search.found
}

#[derive(Default)]
struct Search {
    found: Vec<(Form, ImagePlace)>,
}

impl Search {
    /// Searches a value. `secrets` are those of the enclosing pod.
    // The nesting of manifests is limited when they are read (`manifest::budget`).
    fn walk(&mut self, value: &Value, at: &str, secrets: &[String]) {
        match value {
            Value::Object(fields) => {
                self.image(fields, at, Form::Doubtful, secrets);
                self.rest(fields, at, secrets);
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| self.walk(item, &format!("{at}/{n}"), secrets));
            }
            _ => {}
        }
    }

    /// A container, and everything in it.
    fn container(&mut self, value: &Value, at: &str, secrets: &[String]) {
        match value {
            Value::Object(fields) => {
                self.image(fields, at, Form::Known, secrets);
                self.rest(fields, at, secrets);
            }
            other => self.walk(other, at, secrets),
        }
    }

    /// The image that some fields name.
    fn image(&mut self, fields: &Map<String, Value>, at: &str, form: Form, secrets: &[String]) {
        let mut add = |form: Form, image: &str, pointer: String| {
            if !image.is_empty() {
                let place = ImagePlace { pointer, image: image.to_owned(), pull_secrets: secrets.to_vec() };
                self.found.push((form, place));
            }
        };
        match fields.get("image") {
            Some(Value::String(image)) => add(form, image, format!("{at}/image")),
            // KEP-4639: a volume with the content of an image.
            Some(Value::Object(source)) => {
                if let Some(image) = source.get("reference").and_then(Value::as_str) {
                    add(Form::Known, image, format!("{at}/image/reference"));
                }
            }
            _ => {}
        }
    }

    /// The fields of an object: its containers first.
    fn rest(&mut self, fields: &Map<String, Value>, at: &str, around: &[String]) {
        let own = pull_secrets(fields);
        let secrets = own.as_deref().unwrap_or(around);
        for (field, list) in CONTAINERS.iter().filter_map(|field| Some((field, fields.get(*field)?))) {
            let at = format!("{at}/{field}");
            match list {
                Value::Array(items) => {
                    let items = items.iter().enumerate();
                    items.for_each(|(n, item)| self.container(item, &format!("{at}/{n}"), secrets));
                }
                // By name, or a single one where a list is expected.
                Value::Object(items) => {
                    self.image(items, &at, Form::Known, secrets);
                    items.iter().for_each(|(name, item)| self.container(item, &below(&at, name), secrets));
                }
                _ => {}
            }
        }
        for (field, one) in CONTAINER.iter().filter_map(|field| Some((field, fields.get(*field)?))) {
            self.container(one, &format!("{at}/{field}"), secrets);
        }
        // The fields that the server writes name no image to run.
        let of_server = |field: &str| at.is_empty() && ["metadata", "status"].contains(&field);
        let known = |field: &str| {
            CONTAINERS.contains(&field)
                || CONTAINER.contains(&field)
                || OTHER_IMAGES.contains(&field)
                || of_server(field)
        };
        for (field, value) in fields.iter().filter(|(field, _)| !known(field)) {
            self.walk(value, &below(at, field), secrets);
        }
    }
}

/// The Secrets that a pod names for its image pulls, if any.
fn pull_secrets(pod: &Map<String, Value>) -> Option<Vec<String>> {
    let secrets = pod.get("imagePullSecrets").and_then(Value::as_array)?;
    let names = secrets.iter().filter_map(|secret| secret.get("name")?.as_str());
    Some(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
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
    fn what_is_not_an_image_is_not_reported() {
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
        check("PersistentVolume", json!({"spec": {"rbd": {"image": "x"}}}));
    }

    #[test]
    fn images_are_found_in_every_form_of_a_container() {
        let check = |rest: Value, expected: &[(&str, &str)]| {
            let object = object("Any", rest);
            let places = image_places(&object);
            let found: Vec<(&str, &str)> =
                places.iter().map(|p| (p.pointer.as_str(), p.image.as_str())).collect();
            assert_eq!(found, expected, "{object:?}");
            for (pointer, image) in expected {
                assert_eq!(object.value().pointer(pointer).and_then(Value::as_str), Some(*image));
            }
        };
        // Argo Workflows.
        check(
            json!({"spec": {"templates": [
                {"container": {"image": "a"}},
                {"script": {"image": "b"}, "sidecars": [{"image": "c"}]},
                {"containerSet": {"containers": [{"image": "d"}]}}]}}),
            &[
                ("/spec/templates/0/container/image", "a"),
                ("/spec/templates/1/sidecars/0/image", "c"),
                ("/spec/templates/1/script/image", "b"),
                ("/spec/templates/2/containerSet/containers/0/image", "d"),
            ],
        );
        check(
            json!({"spec": {"steps": [{"name": "a"}], "stepTemplate": {"image": "a"}}}),
            &[("/spec/stepTemplate/image", "a")],
        );
        // Maps by name, and a single one where a list is expected.
        check(
            json!({"spec": {"containers": {"main": {"image": "a"}, "x/y": {"image": "b"}, "z": "c"}}}),
            &[("/spec/containers/main/image", "a"), ("/spec/containers/x~1y/image", "b")],
        );
        check(json!({"spec": {"initContainers": {"image": "a"}}}), &[("/spec/initContainers/image", "a")]);
        // A partial manifest, which adds to an existing object, has only some of its fields.
        check(
            json!({"spec": {"template": {"spec": {"volumes": [{"image": {"reference": "a"}}]}}}}),
            &[("/spec/template/spec/volumes/0/image/reference", "a")],
        );
        check(
            json!({"spec": {"volumes": {"data": {"image": {"reference": "a", "pullPolicy": "Always"}}}}}),
            &[("/spec/volumes/data/image/reference", "a")],
        );
        check(
            json!({"spec": {"volume": {"image": {"reference": "a"}}}}),
            &[("/spec/volume/image/reference", "a")],
        );
        check(
            json!({"spec": {"ephemeralContainers": [{"image": "a"}]}}),
            &[("/spec/ephemeralContainers/0/image", "a")],
        );
        // A pod within another one.
        check(
            json!({"containers": [{"image": "a", "lifecycle": {"containers": [{"image": "b"}]}}]}),
            &[("/containers/0/image", "a"), ("/containers/0/lifecycle/containers/0/image", "b")],
        );
    }

    #[test]
    fn a_text_called_image_is_doubtful_in_kinds_that_are_not_built_in() {
        let check = |version: &str, rest: Value, expected: &[&str]| {
            let mut object = object("Any", rest);
            object.value_mut()["apiVersion"] = version.into();
            let found: Vec<String> = doubtful_places(&object).into_iter().map(|p| p.pointer).collect();
            assert_eq!(found, expected, "{version}");
            assert!(expected.is_empty() || container_images(&object).is_empty());
        };
        let spec =
            || json!({"spec": {"image": "a", "nested": [{"image": "b"}, {"image": ""}, {"image": 1}]}});
        check("monitoring.coreos.com/v1", spec(), &["/spec/image", "/spec/nested/0/image"]);
        check("jobset.x-k8s.io/v1", spec(), &["/spec/image", "/spec/nested/0/image"]);
        for built_in in ["v1", "apps/v1", "policy/v1", "networking.k8s.io/v1"] {
            check(built_in, spec(), &[]);
        }
        check("a.io/v1", json!({"image": "x"}), &["/image"]);
        check("a.io/v1", json!({"status": {"image": "x"}}), &[]);
        let annotated = json!({"metadata": {"name": "a", "annotations": {"image": "x"}}});
        check("a.io/v1", annotated, &[]);
        check("a.io/v1", json!({"spec": {"volumes": [{"rbd": {"image": "x"}}]}}), &[]);
        let known =
            json!({"spec": {"containers": [{"image": "x"}], "volumes": [{"image": {"reference": "x"}}]}});
        check("a.io/v1", known, &[]);
    }

    #[test]
    fn pods_are_pulled_with_the_secrets_around_them() {
        let workflow = object(
            "Workflow",
            json!({"spec": {
                "imagePullSecrets": [{"name": "outer"}],
                "templates": [
                    {"container": {"image": "a"}},
                    {"imagePullSecrets": [{"name": "inner"}], "container": {"image": "b"}}]}}),
        );
        let secrets: Vec<_> = image_places(&workflow).into_iter().map(|p| p.pull_secrets).collect();
        assert_eq!(secrets, [["outer"], ["inner"]]);
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
