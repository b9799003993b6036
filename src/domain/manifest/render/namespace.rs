//! Which namespace an object gets, and the references that follow an object into
//! another one. The rules are those of kustomize, which Flux uses for its
//! `targetNamespace`, with one exception: a Namespace is never renamed.

use std::collections::HashMap;

use serde_json::Value;

use super::super::decode::Decoded;
use crate::domain::objects::identity::GroupKind;
use crate::domain::objects::object::Object;

/// The scopes of the kinds that the CRDs of a set define.
pub fn scope_of(decoded: &[Decoded]) -> HashMap<GroupKind, bool> {
    let definitions = decoded
        .iter()
        .map(|d| &d.object)
        .filter(|o| o.is("apiextensions.k8s.io", "CustomResourceDefinition"));
    let scope = |object: &Object| {
        let text = |pointer| object.value().pointer(pointer).and_then(Value::as_str);
        let kind = GroupKind::new(text("/spec/group")?, text("/spec/names/kind")?);
        Some((kind, text("/spec/scope")? == "Namespaced"))
    };
    definitions.filter_map(scope).collect()
}

/// Gives objects their namespace.
#[derive(Debug)]
pub struct Namespacing<'a> {
    target: Option<&'a str>,
    default: &'a str,
    /// The objects that references name: by name, the kind and the namespace as
    /// written.
    moved: HashMap<String, Vec<(String, String)>>,
}

/// The namespace that kustomize assumes where none is written.
const UNNAMED: &str = "default";

impl<'a> Namespacing<'a> {
    /// For the objects of a set, not yet namespaced: `target` for every namespaced object, or
    /// else `default` for those that name none.
    pub fn new(decoded: &[Decoded], target: Option<&'a str>, default: &'a str) -> Self {
        let referred = decoded.iter().map(|d| &d.object).filter(|object| {
            target.is_some() && (object.is("", "ServiceAccount") || object.is("", "Service"))
        });
        let mut moved: HashMap<String, Vec<(String, String)>> = HashMap::new();
        for object in referred {
            let namespace = Some(object.namespace()).filter(|name| !name.is_empty()).unwrap_or(UNNAMED);
            let places = moved.entry(object.name().to_owned()).or_default();
            places.push((object.kind().to_owned(), namespace.to_owned()));
        }
        Self { target, default, moved }
    }

    /// Sets the namespace of a namespaced object. It is removed from a cluster-scoped
    /// object, as the API server does when kubectl sends it.
    pub fn apply(&self, object: &mut Object, namespaced: bool) {
        if !namespaced {
            object.set_namespace("");
        } else if let Some(target) = self.target {
            object.set_namespace(target);
        } else if object.namespace().is_empty() {
            object.set_namespace(self.default);
        }
        if let Some(target) = self.target {
            self.references(object, target);
        }
    }

    fn references(&self, object: &mut Object, target: &str) {
        let group = object.group().to_owned();
        let kind = object.kind().to_owned();
        let value = object.value_mut();
        match (&*group, &*kind) {
            ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
                for subject in elements(value.get_mut("subjects")) {
                    let account = subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount");
                    let default = subject.get("name").and_then(Value::as_str) == Some("default");
                    if account && (default || self.follows("ServiceAccount", subject)) {
                        subject["namespace"] = target.into();
                    }
                }
            }
            (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
            ) => {
                for webhook in elements(value.get_mut("webhooks")) {
                    if let Some(service) = webhook.pointer_mut("/clientConfig/service")
                        && self.follows("Service", service)
                    {
                        service["namespace"] = target.into();
                    }
                }
            }
            ("apiregistration.k8s.io", "APIService") => set_namespace(value, "/spec/service", target),
            ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                set_namespace(value, "/spec/conversion/webhook/clientConfig/service", target);
            }
            _ => {}
        }
    }

    /// Whether a reference by name, and by namespace if it has one, refers to an
    /// object of the set.
    fn follows(&self, kind: &str, reference: &Value) -> bool {
        let text = |field| reference.get(field).and_then(Value::as_str).unwrap_or_default();
        let (name, namespace) = (text("name"), text("namespace"));
        reference.is_object()
            && self
                .moved
                .get(name)
                .into_iter()
                .flatten()
                .any(|(of, place)| of == kind && (namespace.is_empty() || place == namespace))
    }
}

fn elements(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

fn set_namespace(value: &mut Value, pointer: &str, target: &str) {
    if let Some(Value::Object(service)) = value.pointer_mut(pointer) {
        service.insert("namespace".into(), target.into());
    }
}
