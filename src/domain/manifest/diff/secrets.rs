//! Masks Secrets, so that a diff shows that a key changed, but not its value.
//!
//! This is for the display only: it does not hide a value from users who can read
//! the input.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::domain::plan::changeset::SensitivePaths;

/// A value that is the same on both sides, or on one side only.
const MASK: &str = "*****";
const BEFORE: &str = "***** (before)";
const AFTER: &str = "***** (after)";
/// Shorter values are in many texts by chance, in bytes.
const TELLING_BYTES: usize = 4;
/// Fields of a Secret that contain nothing secret.
const OPEN: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];

/// Masks both sides: what the annotation of either names, and all of a Secret of any group.
pub(super) fn mask(before: Option<&mut Value>, after: Option<&mut Value>) {
    let mut sides = [before, after];
    let sensitive = SensitivePaths::of(sides[0].as_deref(), sides[1].as_deref());
    let places: BTreeSet<String> = sides.iter().flatten().flat_map(|side| sensitive.places(side)).collect();
    for place in places {
        let [before, after] = sides.each_mut().map(|side| side.as_mut()?.pointer_mut(&place));
        one(before, after);
    }
    if !sides.iter().flatten().any(|value| value["kind"] == "Secret") {
        return;
    }
    let mut known = BTreeSet::new();
    let mut fields = BTreeSet::new();
    for side in sides.iter().flatten() {
        for (field, value) in side.as_object().into_iter().flatten() {
            if !OPEN.contains(&field.as_str()) {
                collect(value, &mut known);
                fields.insert(field.clone());
            }
        }
    }
    for field in fields {
        let [before, after] = sides.each_mut().map(|side| side.as_mut()?.get_mut(&field));
        pair(before, after, |_, _| true);
    }
    let [before, after] = sides.each_mut().map(|side| side.as_mut()?.pointer_mut("/metadata/annotations"));
    pair(before, after, |key, value| may_reveal(key, value, &known));
}

/// The values below a field, as written and decoded.
fn collect(value: &Value, known: &mut BTreeSet<String>) {
    let mut add = |text: &str| {
        if text.len() >= TELLING_BYTES {
            known.insert(text.to_owned());
        }
    };
    match value {
        Value::String(text) => {
            add(text);
            if let Some(decoded) = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok())
            {
                add(decoded.trim_end());
            }
        }
        Value::Object(fields) => fields.values().for_each(|v| collect(v, known)),
        Value::Array(items) => items.iter().for_each(|v| collect(v, known)),
        _ => {}
    }
}

/// Whether an annotation of a Secret may contain the values of the Secret: some tools
/// keep a copy of what they applied in one.
fn may_reveal(key: &str, value: &Value, known: &BTreeSet<String>) -> bool {
    let Some(text) = value.as_str() else { return true };
    key.contains("applied")
        || text.trim_start().starts_with(['{', '['])
        || known.iter().any(|secret| text.contains(secret))
}

/// Masks the matching entries of two mappings, key by key. What is not a mapping is
/// one value.
fn pair(before: Option<&mut Value>, after: Option<&mut Value>, meant: impl Fn(&str, &Value) -> bool) {
    let mut sides = [before, after];
    if sides.iter().flatten().any(|value| !value.is_object()) {
        let [before, after] = sides;
        return one(before, after);
    }
    let entries = sides.iter().flatten().filter_map(|value| value.as_object()).flatten();
    let keys: BTreeSet<String> = entries.filter(|(k, v)| meant(k, v)).map(|(k, _)| k.clone()).collect();
    for key in keys {
        let [before, after] = sides.each_mut().map(|side| side.as_mut()?.get_mut(&key));
        one(before, after);
    }
}

fn one(before: Option<&mut Value>, after: Option<&mut Value>) {
    match (before, after) {
        (Some(before), Some(after)) if before != after => {
            (*before, *after) = (BEFORE.into(), AFTER.into());
        }
        (before, after) => [before, after].into_iter().flatten().for_each(|value| *value = MASK.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::unified;
    use super::*;
    use serde_json::json;

    fn secret(fields: Value, annotations: Value) -> Value {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "s", "annotations": annotations}});
        for (key, value) in fields.as_object().unwrap() {
            secret[key] = value.clone();
        }
        secret
    }

    #[test]
    fn one_sees_that_a_key_changed_and_not_to_what() {
        let before = secret(
            json!({"data": {"same": "c2FtZXZhbHVl", "old": "b2xkdmFsdWU=", "gone": "Z29uZXZhbHVl"}}),
            json!({}),
        );
        let after = secret(
            json!({"data": {"same": "c2FtZXZhbHVl"}, "stringData": {"old": "newvalue", "added": "addedvalue"}}),
            json!({}),
        );
        let expected = "@@ -1,7 +1,7 @@
 apiVersion: v1
 data:
-  gone: \"*****\"
-  old: \"***** (before)\"
+  added: \"*****\"
+  old: \"***** (after)\"
   same: \"*****\"
 kind: Secret
 metadata:
";
        assert_eq!(unified(Some(&before), Some(&after)), expected);
        let whole = unified(None, Some(&after));
        assert!(whole.contains("+  added: \"*****\"\n") && !whole.contains("value"), "{whole}");
    }

    #[test]
    fn no_place_of_a_secret_shows_its_values() {
        let check = |before: Value, after: Value| {
            let shown = unified(Some(&before), Some(&after));
            assert!(shown.starts_with("@@ ") && shown.contains("*****"), "{shown}");
            for value in ["hunter2", "aHVudGVyMg", "sesame", "c2VzYW1l"] {
                assert!(!shown.contains(value), "{shown}");
            }
        };
        let bare = || secret(json!({"data": {"k": "aHVudGVyMg=="}}), json!({}));
        check(bare(), secret(json!({"data": {"k": "c2VzYW1l"}}), json!({})));
        check(bare(), secret(json!({"data": "c2VzYW1l"}), json!({})));
        check(bare(), secret(json!({"data": {"k": ["sesame"]}}), json!({})));
        check(bare(), secret(json!({"stringData": ["sesame"]}), json!({})));
        check(bare(), secret(json!({"Data": {"k": "sesame"}}), json!({})));
        for (key, value) in [
            ("copy", "password is hunter2!"),
            ("copy", "x-aHVudGVyMg=="),
            ("kapp.k14s.io/original", "{\"data\":{\"k\":\"sesame\"}}"),
            ("objectset.rio.cattle.io/applied", "sesame"),
        ] {
            check(bare(), secret(json!({"data": {"k": "aHVudGVyMg=="}}), json!({key: value})));
        }
        let other_kind = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "s"}, "data": {"k": "sesame"}});
        check(other_kind("Secret"), other_kind("ConfigMap"));
    }

    #[test]
    fn what_an_annotation_names_is_masked_for_any_kind() {
        let object = |token: &str, size: u32| {
            json!({"apiVersion": "v1", "kind": "Db",
                "metadata": {"name": "s", "annotations": {"supercargo.dev/sensitive-paths": "/spec/token"}},
                "spec": {"token": token, "size": size}})
        };
        let shown = unified(Some(&object("hunter2", 1)), Some(&object("sesame", 2)));
        assert!(
            shown.contains("-  token: \"***** (before)\"\n") && shown.contains("+  size: 2\n"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2") && !shown.contains("sesame"), "{shown}");
        assert!(!unified(None, Some(&object("hunter2", 1))).contains("hunter2"));
    }

    #[test]
    fn what_is_not_secret_is_shown() {
        let shown = unified(
            Some(&secret(json!({"data": {"k": "aHVudGVyMg=="}}), json!({"a": "one"}))),
            Some(&secret(json!({"data": {"k": "aHVudGVyMg=="}, "immutable": true}), json!({"a": "two"}))),
        );
        assert!(
            shown.contains("-    a: one\n+    a: two\n") && shown.contains("+immutable: true\n"),
            "{shown}"
        );
    }
}
