//! The fields of the objects of a chart that have the value of a Secret.

use serde_json::Value;

use crate::domain::manifest::substitute::{Redaction, hide, shown};
use crate::domain::objects::object::Object;

/// Names the fields that contain one of the texts, so that no plan or diff shows them. A name, an image
/// and other fields that every list shows cannot be hidden.
pub(in crate::domain) fn hide_values(object: &mut Object, texts: &Redaction) {
    if texts.is_empty() {
        return;
    }
    let mut found = Vec::new();
    match texts.hides_all() {
        true => found = all(object.value()),
        false => search(object.value(), texts, &mut Vec::new(), &mut found),
    }
    let is_secret = object.is("", "Secret");
    // It is hidden in any case.
    found.retain(|path: &Vec<String>| {
        !(is_secret && matches!(path.first().map(String::as_str), Some("data" | "stringData")))
    });
    found.retain(|path| shown(&path.iter().map(String::as_str).collect::<Vec<_>>()).is_none());
    // What every list shows is not among them any more.
    let _ = hide(object, &[], &found);
}

/// Every field that can be hidden as a whole, and each annotation and label.
fn all(value: &Value) -> Vec<Vec<String>> {
    let keys = |at: &str| -> Vec<String> {
        let fields = value.pointer(at).and_then(Value::as_object);
        fields.into_iter().flat_map(|fields| fields.keys()).cloned().collect()
    };
    let below = |path: &[&str], at: &str| -> Vec<Vec<String>> {
        let path = |key| path.iter().map(|step| (*step).to_owned()).chain([key]).collect();
        keys(at).into_iter().map(path).collect()
    };
    let metadata = below(&["metadata"], "/metadata").into_iter();
    below(&[], "")
        .into_iter()
        .chain(metadata)
        .chain(below(&["metadata", "annotations"], "/metadata/annotations"))
        .chain(below(&["metadata", "labels"], "/metadata/labels"))
        .collect()
}

fn search(value: &Value, texts: &Redaction, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::String(text) if texts.meets(text) => found.push(path.clone()),
        Value::Number(number) if texts.meets(&number.to_string()) => found.push(path.clone()),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                path.push(n.to_string());
                search(item, texts, path, found);
                path.pop();
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                // A key may be a value, too: then all of the mapping is hidden.
                if texts.meets(name) {
                    found.push(path.clone());
                    continue;
                }
                path.push(name.clone());
                search(field, texts, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::keys;

    fn hidden(kind: &str, data: &Value, texts: &[String]) -> Option<String> {
        let metadata = json!({"name": "hunter2", "labels": {"app": "a"}, "annotations": {"b/c": "d"}});
        let value = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data});
        let mut object = Object::new(value).unwrap();
        hide_values(&mut object, &Redaction::default().and(texts.iter().cloned()));
        object.annotation(keys::SENSITIVE_PATHS).map(str::to_owned)
    }

    #[test]
    fn fields_with_a_value_of_a_secret_are_hidden() {
        let check = |kind: &str, data: Value, expected: Option<&str>| {
            assert_eq!(hidden(kind, &data, &["hunter2".to_owned(), "12345".to_owned()]).as_deref(), expected);
        };
        check("ConfigMap", json!({"a": "x", "b": "postgres://u:hunter2@db"}), Some("/data/b"));
        check("ConfigMap", json!({"a": "aHVudGVyMg==", "n": 12345}), Some("/data/a, /data/n"));
        check("ConfigMap", json!({"hunter2": "x"}), Some("/data"));
        check("ConfigMap", json!({"a": "hunter"}), None);
        check("Secret", json!({"a": "aHVudGVyMg=="}), None);
        let many: Vec<String> = (0..300).map(|n| format!("value-{n}")).collect();
        assert_eq!(
            hidden("ConfigMap", &json!({"a": "x", "b": "value-7"}), &many).as_deref(),
            Some("/data/b")
        );
        let more: Vec<String> = (0..20_000).map(|n| format!("value-{n}")).collect();
        let all = hidden("ConfigMap", &json!({"a": "x"}), &more);
        assert_eq!(all.as_deref(), Some("/data, /metadata/annotations/b~1c, /metadata/labels/app"));
    }

    #[test]
    fn a_template_may_write_a_value_in_another_form() {
        let check = |text: &str, data: Value| {
            assert_eq!(
                hidden("ConfigMap", &json!({"a": data}), &[text.to_owned()]).as_deref(),
                Some("/data/a")
            );
        };
        check("hunter2\n", json!("password=hunter2"));
        check("hunter2\n", json!("aHVudGVyMg=="));
        check("hun\"ter2", json!("{\"password\":\"hun\\\"ter2\"}"));
        check("a&b<c>d", json!("{\"password\":\"a\\u0026b\\u003cc\\u003ed\"}"));
        check(
            "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n",
            json!("key: |\n    MIIEvQIBADANBg\n"),
        );
        check("12345678", json!("port=1.2345678e+07"));
        check("12345678", json!(12_345_678.0));
    }
}
