//! What is removed from a manifest before it is applied: the fields that only the
//! server writes, and the write-only half of a Secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::domain::objects::object::Object;

/// Metadata that the server writes. Exported objects contain it; if it is applied, it
/// is refused (`managedFields`), is a false precondition (`uid`, `resourceVersion`)
/// or is permanent drift.
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
/// stores it. Applied unchanged, the resulting keys would have no owner: an edit of a
/// value would not be drift, and a removed key would remain. What is not a mapping of
/// strings is sent unchanged, so that the server refuses it.
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
