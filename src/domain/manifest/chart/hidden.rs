//! The fields of the objects of a chart that have the value of a Secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::domain::manifest::substitute::{hide, shown};
use crate::domain::objects::object::Object;

/// More texts are not looked for one by one: everything is hidden then.
const MAX_TEXTS: usize = 256;

/// Names the fields that contain one of the texts, so that no plan or diff shows them. A name, an image
/// and other fields that every list shows cannot be hidden.
pub(in crate::domain) fn hide_values(object: &mut Object, texts: &[String]) {
    if texts.is_empty() {
        return;
    }
    let encoded: Vec<String> = texts.iter().map(|text| STANDARD.encode(text)).collect();
    let texts: Vec<&str> = texts.iter().chain(&encoded).map(String::as_str).collect();
    let mut found = Vec::new();
    match texts.len() > 2 * MAX_TEXTS {
        true => {
            let fields = object.value().as_object().into_iter().flat_map(|fields| fields.keys());
            found.extend(fields.map(|field| vec![field.clone()]));
        }
        false => search(object.value(), &texts, &mut Vec::new(), &mut found),
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

fn search(value: &Value, texts: &[&str], path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let has = |text: &str| texts.iter().any(|one| text.contains(one));
    match value {
        Value::String(text) if has(text) => found.push(path.clone()),
        Value::Number(number) if has(&number.to_string()) => found.push(path.clone()),
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
                if has(name) {
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
        let value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "hunter2"}, "data": data});
        let mut object = Object::new(value).unwrap();
        hide_values(&mut object, texts);
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
        assert_eq!(hidden("ConfigMap", &json!({"a": "x"}), &many).as_deref(), Some("/data"));
    }
}
