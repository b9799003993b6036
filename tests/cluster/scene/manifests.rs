//! The objects that stories apply. Those in YAML are documents between separators, so
//! that they may be put before and after anything.

use serde_json::{Value, json};

/// A ConfigMap with a value, `data.key`.
pub fn config_map(name: &str, value: &str) -> String {
    map(&format!("name: {name}"), value)
}

/// A ConfigMap with annotations, a YAML flow mapping.
pub fn annotated(name: &str, annotations: &str) -> String {
    map(&format!("name: {name}, annotations: {annotations}"), "one")
}

fn map(metadata: &str, value: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{{metadata}}}\ndata: {{key: '{value}'}}\n---\n")
}

/// A Deployment of pods that do nothing.
pub fn deployment(name: &str, image: &str, replicas: u32) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec: {{containers: [{{name: web, image: \"{image}\"}}]}}\n---\n"
    )
}

/// A Deployment of one pod that never starts; it has failed after a second.
pub fn failing_deployment(name: &str, image: &str) -> String {
    let failed = format!("labels: {{app: {name}, testbed.supercargo.dev/pod: failed}}");
    deployment(name, image, 1)
        .replace(&format!("labels: {{app: {name}}}"), &failed)
        .replace("  replicas: 1\n", "  replicas: 1\n  progressDeadlineSeconds: 1\n")
}

/// A Deployment whose pod does not get ready until it is relabelled, and which has not failed before.
pub fn unready_deployment(name: &str) -> String {
    failing_deployment(name, "main:1")
        .replace("progressDeadlineSeconds: 1\n", "progressDeadlineSeconds: 600\n")
}

/// The definition of Widgets in a group; `versions` is what follows the key.
pub fn widgets(group: &str, versions: &str) -> String {
    format!(
        "---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Widget, plural: widgets, singular: widget}}
  versions:{versions}---
"
    )
}

/// A ServiceAccount of the story's namespace, as an administrator makes it.
pub fn account(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n---\n")
}

/// A Role with rules in YAML's flow style and its binding to the account.
pub fn role(account: &str, namespace: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {account}}}\nrules: {rules}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {account}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {account}}}\n\
         subjects: [{{kind: ServiceAccount, name: {account}, namespace: {namespace}}}]\n---\n"
    )
}

/// Rules that allow everything in the Role's namespace.
pub const ALL_RIGHTS: &str = "[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]";

/// Rules that allow what a release of ConfigMaps needs.
pub const CONFIG_MAPS: &str =
    "[{apiGroups: [''], resources: [configmaps], verbs: [get, list, watch, create, patch, delete]}]";

/// A release at the tag `1` of a repository on plain HTTP, pruning, with `spec` laid
/// over that; `null` takes a field away.
pub fn release(namespace: &str, name: &str, url: &str, spec: Value) -> Value {
    let mut all = json!({"url": url, "ref": {"tag": "1"}, "insecure": true, "prune": true});
    lay_over(&mut all, spec);
    json!({
        "apiVersion": "supercargo.dev/v1alpha1",
        "kind": "OCIArtifactRelease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": all,
    })
}

/// Sets the fields of one object in another; `null` takes a field away.
pub(super) fn lay_over(all: &mut Value, fields: Value) {
    let (Value::Object(all), Value::Object(fields)) = (all, fields) else { panic!("a spec is an object") };
    for (field, value) in fields {
        match value {
            Value::Null => drop(all.remove(&field)),
            value => drop(all.insert(field, value)),
        }
    }
}
