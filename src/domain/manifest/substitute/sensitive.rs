//! Fields with the value of a Secret: they are named in the annotation for sensitive values, so that
//! no plan, diff or message shows them, whatever the kind of the object is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::keys;
use crate::domain::objects::images::image_places;
use crate::domain::objects::object::Object;

/// The most paths that the annotation has.
const MAX_PATHS: usize = 64;

/// Why a field must not have the value of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(pub String);

/// One step of a path in the annotation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    /// Any item of a list: in the cluster, it may be at another place.
    Item,
}

/// The path with any item for each index of a list.
fn steps(mut value: &Value, path: &[&str]) -> Vec<Step> {
    let mut found = Vec::with_capacity(path.len());
    for key in path {
        let below = match value {
            Value::Array(items) => {
                found.push(Step::Item);
                key.parse().ok().and_then(|n: usize| items.get(n))
            }
            other => {
                found.push(Step::Key((*key).to_owned()));
                other.get(*key)
            }
        };
        value = below.unwrap_or(&Value::Null);
    }
    found
}

/// The path as a JSON pointer.
fn written(path: &[&str]) -> String {
    path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Names the fields in the annotation of the object. Of a list, all items are named. Those that are
/// doubtful may contain what everyone sees, and are hidden only.
///
/// # Errors
/// The field that is shown in every list of objects.
pub fn hide(object: &mut Object, paths: &[Vec<String>], doubtful: &[Vec<String>]) -> Result<(), Shown> {
    let is_secret = object.is("", "Secret");
    let images: Vec<String> = image_places(object).into_iter().map(|place| place.pointer).collect();
    // Or is within one, or is what has one.
    let has_image = |path: &[&str]| {
        let own = written(path);
        let meets = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        images.iter().any(|image| meets(image, &own) || meets(&own, image))
    };
    let mut hidden = BTreeSet::new();
    for path in paths {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some(shown) = shown(&path) {
            return Err(shown);
        }
        if has_image(&path) {
            return Err(Shown(path.join(".")));
        }
        // It is hidden in any case.
        if !(is_secret && matches!(path.first(), Some(&("data" | "stringData")))) {
            hidden.insert(steps(object.value(), &path));
        }
    }
    for path in doubtful {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        hidden.insert(steps(object.value(), &path));
    }
    if hidden.is_empty() {
        return Ok(());
    }
    let written = object.annotation(keys::SENSITIVE_PATHS).map(str::to_owned);
    let taken = written.as_ref().map_or(0, |text| text.matches(',').count() + 1);
    let room = MAX_PATHS.saturating_sub(taken);
    let paths = written.into_iter().chain(pointers(&hidden, room));
    let text = paths.collect::<Vec<String>>().join(", ");
    object.set_annotation(keys::SENSITIVE_PATHS, &text);
    Ok(())
}

/// The field, if every list of objects shows it.
pub(in crate::domain::manifest) fn shown(path: &[&str]) -> Option<Shown> {
    let is_shown = match *path {
        // What decides which object it is would be among them.
        [] => return Some(Shown("the object".to_owned())),
        ["apiVersion" | "kind" | "metadata"] => true,
        ["metadata", "labels" | "annotations"] => true,
        ["metadata", "name" | "namespace" | "generateName"] => true,
        ["metadata", "labels" | "annotations", key] => {
            key.contains("supercargo.dev/") || key == keys::DEPENDS_ON
        }
        // Events, statuses and registries have it.
        [.., "containers" | "initContainers" | "ephemeralContainers", _, "image"] => true,
        _ => false,
    };
    is_shown.then(|| Shown(path.join(".")))
}

/// At most so many pointers that name all of the paths: of many, only what contains them.
fn pointers(paths: &BTreeSet<Vec<Step>>, most: usize) -> BTreeSet<String> {
    let deepest = paths.iter().map(Vec::len).max().unwrap_or_default();
    let cut = |depth: usize| -> BTreeSet<String> {
        paths.iter().map(|path| pointer(&path[..path.len().min(depth)])).collect()
    };
    let depths = (1..=deepest).rev();
    let fits = depths.map(cut).find(|found| found.len() <= most && found.iter().all(|p| p.len() < 4096));
    fits.unwrap_or_else(|| BTreeSet::from(["/*".to_owned()]))
}

/// The pointer of a path, or of what contains it where a key cannot be written in the annotation.
fn pointer(path: &[Step]) -> String {
    let plain = |key: &String| {
        !key.is_empty() && key != "*" && key.trim() == key.as_str() && !key.contains([',', '[', ']'])
    };
    let named = path.iter().map_while(|step| match step {
        Step::Item => Some("*".to_owned()),
        Step::Key(key) => plain(key).then(|| key.replace('~', "~0").replace('/', "~1")),
    });
    let pointer: String = named.map(|key| format!("/{key}")).collect();
    if pointer.is_empty() { "/*".to_owned() } else { pointer }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::plan::changeset::{SensitivePaths, check_annotation};

    fn object(kind: &str, annotation: Option<&str>) -> Object {
        let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}});
        value["spec"] = json!({"users": [{"p": "x"}, {"p": "y", "q": ["z"]}], "m": {"0": "x"}});
        if let Some(text) = annotation {
            value["metadata"]["annotations"] = json!({keys::SENSITIVE_PATHS: text});
        }
        Object::new(value).unwrap()
    }

    fn path(pointer: &str) -> Vec<String> {
        pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect()
    }

    #[test]
    fn each_field_is_named_or_contained_in_one_that_is() {
        let check = |kind: &str, annotation: Option<&str>, paths: &[&str], expected: Option<&str>| {
            let mut object = object(kind, annotation);
            let paths: Vec<Vec<String>> = paths.iter().map(|pointer| path(pointer)).collect();
            hide(&mut object, &paths, &[]).unwrap();
            assert_eq!(object.annotation(keys::SENSITIVE_PATHS), expected);
            assert_eq!(check_annotation(&object), Ok(()));
            let sensitive = SensitivePaths::of(None, Some(object.value()));
            assert!(paths.iter().all(|path| sensitive.hide(path)), "{expected:?}");
        };
        check("Db", None, &["/spec/b", "/spec/a/0"], Some("/spec/a/0, /spec/b"));
        // The place of an item may be another one in the cluster.
        check("Db", None, &["/spec/users/1/p"], Some("/spec/users/*/p"));
        check("Db", None, &["/spec/users/0/p", "/spec/users/1/p"], Some("/spec/users/*/p"));
        check("Db", None, &["/spec/users/1/q/0"], Some("/spec/users/*/q/*"));
        check("Db", None, &["/spec/users/1"], Some("/spec/users/*"));
        check("Db", None, &["/spec/m/0"], Some("/spec/m/0"));
        check("Db", Some("$.spec.c"), &["/spec/b"], Some("$.spec.c, /spec/b"));
        check("ConfigMap", None, &["/data/a~1b.conf"], Some("/data/a~1b.conf"));
        check("ConfigMap", None, &["/data/a,b", "/data/x[0]"], Some("/data"));
        check("ConfigMap", None, &["/*/a"], Some("/*"));
        check("Secret", None, &["/data/a", "/stringData/b"], None);
        check("Secret", None, &["/metadata/labels/a"], Some("/metadata/labels/a"));
        let many: Vec<String> = (0..100).map(|n| format!("/spec/{}/{n}", n % 3)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check("Db", None, &many, Some("/spec/0, /spec/1, /spec/2"));
    }

    #[test]
    fn an_item_that_has_moved_stays_hidden() {
        let mut object = object("Db", None);
        hide(&mut object, &[path("/spec/users/1/p")], &[]).unwrap();
        let mut live = object.value().clone();
        live["spec"]["users"].as_array_mut().unwrap().insert(0, json!({"p": "new"}));
        let sensitive = SensitivePaths::of(Some(&live), Some(object.value()));
        for moved in ["/spec/users/0/p", "/spec/users/1/p", "/spec/users/2/p"] {
            assert!(sensitive.hide(&path(moved)), "{moved}");
        }
    }

    #[test]
    fn what_every_list_shows_is_refused() {
        let check = |pointer: &str, expected: &str| {
            let mut object = object("Db", None);
            let mut value = object.value().clone();
            value["spec"]["template"] = json!({"spec": {
                "containers": [{"name": "a", "image": "b"}], "volumes": [{"name": "c", "image": {"reference": "d"}}],
            }});
            value["spec"]["steps"] = json!([{"image": "a"}]);
            object = Object::new(value).unwrap();
            let found = hide(&mut object, &[path(pointer)], &[]);
            assert_eq!(found, Err(Shown(expected.to_owned())), "{pointer}");
        };
        check("/metadata/name", "metadata.name");
        check("/metadata/namespace", "metadata.namespace");
        check("/kind", "kind");
        check("", "the object");
        check("/metadata/annotations", "metadata.annotations");
        check("/spec/template/spec/containers/0/image", "spec.template.spec.containers.0.image");
        check("/spec/steps/0/image", "spec.steps.0.image");
        check(
            "/spec/template/spec/volumes/0/image/reference",
            "spec.template.spec.volumes.0.image.reference",
        );
        // It has the image in it.
        check("/spec/template", "spec.template");
        check("/metadata/annotations/supercargo.dev~1wave", "metadata.annotations.supercargo.dev/wave");
    }
}
