//! The fields of a kustomization that change names and metadata of objects:
//! namespace, prefix, suffix, common labels and annotations.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set::Set;
use super::tables::fields::{Field, visit};
use super::tables::locations::{ANNOTATIONS, LABELS, NAMESPACES};

/// Kinds whose objects are not renamed; an empty group means any.
const FIXED_NAMES: [(&str, &str); 3] =
    [("", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService"), ("", "Namespace")];

impl Set {
    /// Sets the namespace of all objects that are not known to be cluster-scoped. As
    /// in kustomize, this renames Namespace objects.
    pub(super) fn set_namespace(&mut self, namespace: &str) -> Result<(), String> {
        for member in &mut self.members {
            member.remember();
            let called = member.current();
            if !called.is_cluster_scoped() {
                member.object.set_namespace(namespace);
            }
            let is_core_v1 = member.object.api_version() == "v1";
            let value = member.object.value_mut();
            if matches!(called.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
                for subject in value.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
                    if subject.get("name").and_then(Value::as_str) == Some("default") {
                        subject["namespace"] = namespace.into();
                    }
                }
            }
            for field in NAMESPACES.iter().filter(|field| field.is_for(&called.group, &called.kind)) {
                if field.path == "metadata/name" && !is_core_v1 {
                    continue;
                }
                let made = Value::from("");
                let set = &mut |value: &mut Value| {
                    *value = namespace.into();
                    Ok(())
                };
                visit(value, field.path, field.create.then_some(&made), set)
                    .map_err(|why| format!("{called}: {why}"))?;
            }
        }
        (0..self.members.len()).for_each(|place| self.note(place));
        match self.twice() {
            Some(name) => Err(format!("the result has two objects {name}")),
            None => Ok(()),
        }
    }

    /// Adds a prefix and a suffix to the names.
    pub(super) fn rename(&mut self, prefix: &str, suffix: &str) {
        for (text, is_prefix) in [(prefix, true), (suffix, false)] {
            if text.is_empty() {
                continue;
            }
            for member in &mut self.members {
                let original = member.original();
                let is_fixed = |(group, kind): &(&str, &str)| {
                    (group.is_empty() || *group == original.group) && *kind == original.kind
                };
                if FIXED_NAMES.iter().any(is_fixed) {
                    continue;
                }
                member.remember();
                let name = member.object.name();
                let name = if is_prefix { format!("{text}{name}") } else { format!("{name}{text}") };
                if is_prefix { &mut member.prefixes } else { &mut member.suffixes }.push(text.to_owned());
                member.object.metadata_mut().insert("name".into(), name.into());
            }
        }
        (0..self.members.len()).for_each(|place| self.note(place));
    }

    /// Sets labels, also in selectors and in the templates of workloads.
    pub(super) fn set_labels(&mut self, labels: &BTreeMap<String, String>) -> Result<(), String> {
        self.set_entries(LABELS, labels)
    }

    /// Sets annotations, also in the templates of workloads.
    pub(super) fn set_annotations(&mut self, annotations: &BTreeMap<String, String>) -> Result<(), String> {
        self.set_entries(ANNOTATIONS, annotations)
    }

    fn set_entries(&mut self, fields: &[Field], entries: &BTreeMap<String, String>) -> Result<(), String> {
        let made = Value::Object(Map::new());
        for member in &mut self.members {
            let called = member.current();
            for field in fields.iter().filter(|field| field.is_for(&called.group, &called.kind)) {
                let value = member.object.value_mut();
                let set = &mut |value: &mut Value| match value {
                    Value::Object(map) => {
                        map.extend(entries.iter().map(|(key, text)| (key.clone(), text.clone().into())));
                        Ok(())
                    }
                    Value::Null => Ok(()),
                    _ => Err("it is not a mapping".into()),
                };
                if !entries.is_empty() {
                    visit(value, field.path, field.create.then_some(&made), set)
                        .map_err(|why| format!("{called}: {why}"))?;
                }
            }
        }
        Ok(())
    }
}
