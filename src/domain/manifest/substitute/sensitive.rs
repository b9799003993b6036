//! Fields with the value of a Secret: they are named in the annotation for sensitive values, so that
//! no plan, diff or message shows them, whatever the kind of the object is.

use std::collections::BTreeSet;

use crate::api::keys;
use crate::domain::objects::object::Object;

/// The most paths that the annotation has.
const MAX_PATHS: usize = 64;

/// Why a field must not have the value of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(pub String);

/// Names the fields in the annotation of the object.
///
/// # Errors
/// The field that is shown in every list of objects.
pub fn hide(object: &mut Object, paths: &[Vec<String>]) -> Result<(), Shown> {
    let is_secret = object.is("", "Secret");
    let mut hidden = BTreeSet::new();
    for path in paths {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match *path.as_slice() {
            // What decides which object it is would be among them.
            [] => return Err(Shown("the object".to_owned())),
            ["apiVersion" | "kind" | "metadata"] => return Err(Shown(path.join("."))),
            ["metadata", "labels" | "annotations"] => return Err(Shown(path.join("."))),
            ["metadata", "name" | "namespace" | "generateName"] => return Err(Shown(path.join("."))),
            ["metadata", "labels" | "annotations", key]
                if key.contains("supercargo.dev/") || key == keys::DEPENDS_ON =>
            {
                return Err(Shown(path.join(".")));
            }
            // Events, statuses and registries have it.
            [.., "containers" | "initContainers" | "ephemeralContainers", _, "image"] => {
                return Err(Shown(path.join(".")));
            }
            // It is hidden in any case.
            ["data" | "stringData", ..] if is_secret => {}
            _ => {
                hidden.insert(path.into_iter().map(str::to_owned).collect::<Vec<String>>());
            }
        }
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

/// At most so many pointers that name all of the paths: of many, only what contains them.
fn pointers(paths: &BTreeSet<Vec<String>>, most: usize) -> BTreeSet<String> {
    let deepest = paths.iter().map(Vec::len).max().unwrap_or_default();
    let cut = |depth: usize| -> BTreeSet<String> {
        paths.iter().map(|path| pointer(&path[..path.len().min(depth)])).collect()
    };
    let depths = (1..=deepest).rev();
    let fits = depths.map(cut).find(|found| found.len() <= most && found.iter().all(|p| p.len() < 4096));
    fits.unwrap_or_else(|| BTreeSet::from(["/*".to_owned()]))
}

/// The pointer of a path, or of what contains it where a key cannot be written in the annotation.
fn pointer(path: &[String]) -> String {
    let plain = |key: &&String| {
        !key.is_empty() && *key != "*" && key.trim() == key.as_str() && !key.contains([',', '[', ']'])
    };
    let named = path.iter().take_while(plain).map(|key| key.replace('~', "~0").replace('/', "~1"));
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
            hide(&mut object, &paths).unwrap();
            assert_eq!(object.annotation(keys::SENSITIVE_PATHS), expected);
            assert_eq!(check_annotation(&object), Ok(()));
            let sensitive = SensitivePaths::of(None, Some(object.value()));
            assert!(paths.iter().all(|path| sensitive.hide(path)), "{expected:?}");
        };
        check("Db", None, &["/spec/b", "/spec/a/0"], Some("/spec/a/0, /spec/b"));
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
    fn what_every_list_shows_is_refused() {
        let check = |pointer: &str, expected: &str| {
            let found = hide(&mut object("Db", None), &[path(pointer)]);
            assert_eq!(found, Err(Shown(expected.to_owned())));
        };
        check("/metadata/name", "metadata.name");
        check("/metadata/namespace", "metadata.namespace");
        check("/kind", "kind");
        check("", "the object");
        check("/metadata/annotations", "metadata.annotations");
        check("/spec/template/spec/containers/0/image", "spec.template.spec.containers.0.image");
        check("/metadata/annotations/supercargo.dev~1wave", "metadata.annotations.supercargo.dev/wave");
    }
}
