//! A Kubernetes object as a JSON value, with the accessors that decisions need.

use serde_json::{Map, Value, json};

use super::identity::{GroupKind, ObjectId, group_of};

/// A manifest: a JSON object that has `apiVersion`, `kind` and
/// `metadata.name`. Only [`Object::new`] creates one, so that later code can rely
/// on these three fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Value);

/// Why a JSON value is not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnObject(pub String);

impl Object {
    /// Checks that the value has the shape of a manifest.
    ///
    /// # Errors
    /// The required field that is missing or has another type.
    pub fn new(value: Value) -> Result<Self, NotAnObject> {
        if !value.is_object() {
            return Err(NotAnObject("the document is not a mapping".into()));
        }
        for field in ["apiVersion", "kind"] {
            if value.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(NotAnObject(format!("{field} is missing or is not a string")));
            }
        }
        let metadata = value.get("metadata");
        if metadata.is_some_and(|m| !m.is_object()) {
            return Err(NotAnObject("metadata is not a mapping".into()));
        }
        if value.pointer("/metadata/name").and_then(Value::as_str).is_none_or(str::is_empty) {
            let generated = value.pointer("/metadata/generateName").is_some();
            let why = if generated {
                "metadata.generateName is not supported; set metadata.name"
            } else {
                "metadata.name is missing or is not a string"
            };
            return Err(NotAnObject(why.into()));
        }
        for field in ["namespace", "labels", "annotations"] {
            let wrong = match value.pointer(&format!("/metadata/{field}")) {
                None | Some(Value::Null) => false,
                Some(v) if field == "namespace" => !v.is_string(),
                Some(v) => v.as_object().is_none_or(|m| m.values().any(|v| !v.is_string())),
            };
            if wrong {
                let shape = if field == "namespace" { "a string" } else { "a mapping of strings" };
                return Err(NotAnObject(format!("metadata.{field} is not {shape}")));
            }
        }
        Ok(Self(value))
    }

    /// The whole value.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The whole value, for changes that keep the three required fields.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// The value itself.
    pub fn into_value(self) -> Value {
        self.0
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// `apiVersion`, as written.
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// API group, empty for core.
    pub fn group(&self) -> &str {
        group_of(self.api_version())
    }

    /// API version without its group.
    pub fn version(&self) -> &str {
        let version = self.api_version();
        version.split_once('/').map_or(version, |(_, v)| v)
    }

    /// Kind.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Whether this is the given kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group() == group && self.kind() == kind
    }

    /// Group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group(), self.kind())
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`, empty when there is none.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// Sets or, given an empty string, removes `metadata.namespace`.
    pub fn set_namespace(&mut self, namespace: &str) {
        let metadata = self.metadata_mut();
        if namespace.is_empty() {
            metadata.remove("namespace");
        } else {
            metadata.insert("namespace".into(), namespace.into());
        }
    }

    /// The identity of the object.
    pub fn id(&self) -> ObjectId {
        ObjectId {
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
        }
    }

    /// An object of the same identity and version, and nothing else.
    pub fn without_content(&self) -> Object {
        let mut bare = Object(json!({
            "apiVersion": self.api_version(), "kind": self.kind(), "metadata": {"name": self.name()},
        }));
        bare.set_namespace(self.namespace());
        bare
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> u64 {
        /// A value, and its place in a list or a mapping.
        const VALUE: u64 = 64;
        fn of(value: &Value) -> u64 {
            VALUE
                + match value {
                    Value::Null | Value::Bool(_) | Value::Number(_) => 0,
                    Value::String(text) => text.len() as u64,
                    Value::Array(items) => items.iter().map(of).sum(),
                    Value::Object(fields) => {
                        fields.iter().map(|(key, value)| key.len() as u64 + of(value)).sum()
                    }
                }
        }
        of(&self.0)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("annotations")?.get(key)?.as_str()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    /// Sets a label.
    pub fn set_label(&mut self, key: &str, value: &str) {
        self.set_metadata_entry("labels", key, value);
    }

    /// Removes a label.
    pub fn remove_label(&mut self, key: &str) {
        if let Some(labels) = self.metadata_mut().get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(key);
        }
    }

    /// Sets an annotation.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        self.set_metadata_entry("annotations", key, value);
    }

    fn set_metadata_entry(&mut self, field: &str, key: &str, value: &str) {
        let entries = self.metadata_mut().entry(field).or_insert_with(|| Map::new().into());
        if !entries.is_object() {
            *entries = Map::new().into();
        }
        if let Some(entries) = entries.as_object_mut() {
            entries.insert(key.to_owned(), value.into());
        }
    }

    /// `metadata`, which [`Object::new`] has found to be a mapping.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        if !self.0.get("metadata").is_some_and(Value::is_object) {
            self.0["metadata"] = Map::new().into();
        }
        match self.0.get_mut("metadata") {
            Some(Value::Object(metadata)) => metadata,
            // The line above has just made it one.
            _ => unreachable!("metadata is a mapping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_named() {
        let check = |value: Value, expected: &str| {
            assert_eq!(Object::new(value).unwrap_err().to_string(), expected);
        };
        check(json!("text"), "the document is not a mapping");
        check(json!({"kind": "A"}), "apiVersion is missing or is not a string");
        check(json!({"apiVersion": 1, "kind": "A"}), "apiVersion is missing or is not a string");
        check(json!({"apiVersion": "v1"}), "kind is missing or is not a string");
        check(json!({"apiVersion": "v1", "kind": "A"}), "metadata.name is missing or is not a string");
        check(
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": true}}),
            "metadata.name is missing or is not a string",
        );
        check(
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"generateName": "a-"}}),
            "metadata.generateName is not supported; set metadata.name",
        );
        check(
            json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "labels": {"x": 1}}}),
            "metadata.labels is not a mapping of strings",
        );
    }

    #[test]
    fn metadata_can_be_set() {
        let mut object =
            Object::new(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}))
                .unwrap();
        object.set_namespace("apps");
        object.set_label("a", "b");
        object.set_annotation("c", "d");
        assert_eq!(object.id().to_string(), "Deployment/apps/web");
        assert_eq!((object.group(), object.version()), ("apps", "v1"));
        assert_eq!((object.label("a"), object.annotation("c")), (Some("b"), Some("d")));
    }
}
