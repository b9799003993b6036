//! Two versions of one object as a unified diff of their YAML.

use serde_json::Value;

use super::{hunks, secrets};
use crate::domain::manifest::canonical::value_to_yaml;
use crate::domain::manifest::render::strip;
use crate::domain::objects::object::Object;

/// kubectl's copy of what it applied: a second object in an annotation.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The hunks, with three lines of context each, every line with a line break; `None`
/// is an object that does not exist. Empty when nothing differs that a user could
/// have changed.
///
/// `status` and the metadata that only the server writes are ignored. For a Secret,
/// the diff shows which keys are new, removed or changed, never a value.
pub fn unified(before: Option<&Value>, after: Option<&Value>) -> String {
    let (mut before, mut after) = (before.map(clean), after.map(clean));
    if before == after {
        return String::new();
    }
    secrets::mask(before.as_mut(), after.as_mut());
    // What the emitter refuses is shown as JSON.
    let write = |value: &Value| value_to_yaml(value).unwrap_or_else(|_| format!("{value:#}\n"));
    let text = |value: Option<&Value>| value.map(write).unwrap_or_default();
    hunks::between(&text(before.as_ref()), &text(after.as_ref()))
}

/// The object as a user would have written it.
pub fn clean(value: &Value) -> Value {
    let Ok(mut object) = Object::new(value.clone()) else {
        return value.clone();
    };
    strip::server_fields(&mut object);
    strip::secret_strings(&mut object);
    let metadata = object.metadata_mut();
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    for field in ["annotations", "labels"] {
        // An empty mapping is the same as a missing one.
        if metadata.get(field).is_some_and(|v| v.is_null() || v.as_object().is_some_and(|m| m.is_empty())) {
            metadata.remove(field);
        }
    }
    object.into_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_field_is_one_hunk_with_three_lines_around() {
        let deployment = |image: &str, generation: u32| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "cache", "generation": generation, "uid": format!("u{generation}"),
                    "creationTimestamp": "2021-12-13T19:50:26Z", "resourceVersion": "1", "managedFields": [{}],
                    "annotations": {"deployment.kubernetes.io/revision": "1", LAST_APPLIED: image}},
                "spec": {"template": {"spec": {"containers": [{"command": ["redis-server", "/redis.conf"],
                    "image": image, "imagePullPolicy": "IfNotPresent", "livenessProbe": {"failureThreshold": 3}}]}}},
                "status": {"observedGeneration": generation}})
        };
        let (one, two) = (deployment("redis:6.2.0", 1), deployment("redis:6.2.1", 2));
        let expected = "@@ -11,7 +11,7 @@
       - command:
         - redis-server
         - /redis.conf
-        image: redis:6.2.0
+        image: redis:6.2.1
         imagePullPolicy: IfNotPresent
         livenessProbe:
           failureThreshold: 3
";
        assert_eq!(unified(Some(&one), Some(&two)), expected);
        assert_eq!(unified(Some(&one), Some(&deployment("redis:6.2.0", 7))), "");
    }

    #[test]
    fn an_object_may_come_or_go() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {}}});
        let lines = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
        let with = |sign: &str| lines.lines().map(|l| format!("{sign}{l}\n")).collect::<String>();
        assert_eq!(unified(None, Some(&map)), format!("@@ -0,0 +1,4 @@\n{}", with("+")));
        assert_eq!(unified(Some(&map), None), format!("@@ -1,4 +0,0 @@\n{}", with("-")));
        assert_eq!(unified(None, None), "");
        assert_eq!(unified(Some(&map), Some(&map)), "");
    }

    #[test]
    fn a_finalizer_and_an_owner_count() {
        let with = |meta: Value| json!({"apiVersion": "v1", "kind": "A", "metadata": meta});
        let (bare, kept) = (with(json!({"name": "a"})), with(json!({"name": "a", "finalizers": ["x"]})));
        assert!(unified(Some(&bare), Some(&kept)).contains("+  finalizers:\n+  - x\n"));
    }
}
