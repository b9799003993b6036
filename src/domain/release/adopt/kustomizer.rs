//! The inventories of Kustomizer 1 and 2.

use serde_json::Value;

use super::Former;
use crate::domain::inventory::{Inventory, Provenance};
use crate::domain::objects::identity::ReleaseId;

/// Kustomizer's default label prefix, and its field manager.
pub const LABEL_PREFIX: &str = "inventory.kustomizer.dev";
/// See [`LABEL_PREFIX`].
pub const MANAGER: &str = "kustomizer";

/// An inventory of Kustomizer.
#[derive(Clone, Debug)]
pub struct KustomizerInventory {
    /// How its objects are marked.
    pub former: Former,
    /// The objects that it names.
    pub inventory: Inventory,
    /// Where they come from.
    pub provenance: Provenance,
}

/// The ConfigMaps that may hold the inventory of a name: of Kustomizer 2, then of
/// Kustomizer 1.
pub fn config_maps(name: &str) -> [String; 2] {
    [format!("inv-{name}"), name.to_owned()]
}

/// Reads a ConfigMap; `None` when it is not an inventory of that tool.
///
/// # Errors
/// Says why it cannot be read.
pub fn read(
    map: &Value,
    id: &ReleaseId,
    manager: &str,
    label_prefix: &str,
) -> Result<Option<KustomizerInventory>, String> {
    let label = |key: &str| map.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str);
    let is_inventory = label("app.kubernetes.io/component") == Some("inventory");
    if !is_inventory || label("app.kubernetes.io/created-by") != Some(manager) {
        return Ok(None);
    }
    let data = |key: &str| map.get("data")?.get(key)?.as_str();
    let text = data("resources").or_else(|| data("inventory")).unwrap_or("[]");
    let mut inventory = Inventory::default();
    inventory.read_part(text).map_err(|e| match std::error::Error::source(&e) {
        Some(cause) => format!("{e}: {cause}"),
        None => e.to_string(),
    })?;
    let note = |key: &str| {
        let key = format!("{label_prefix}/{key}");
        let value = map.pointer("/metadata/annotations").and_then(|a| a.get(key)?.as_str());
        value.unwrap_or_default().to_owned()
    };
    Ok(Some(KustomizerInventory {
        former: Former {
            tool: "Kustomizer".into(),
            label_prefix: label_prefix.to_owned(),
            managers: vec![manager.to_owned()],
            name: id.name.clone(),
            namespace: id.namespace.clone(),
        },
        inventory,
        provenance: Provenance {
            source: note("source"),
            revision: note("revision"),
            artifacts: data("artifacts").and_then(|a| serde_json::from_str(a).ok()).unwrap_or_default(),
            applied_at: note("last-applied-time"),
            adopting: String::new(),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inventories_of_both_versions_are_read_and_others_are_not() {
        let id = ReleaseId { namespace: "default".into(), name: "web".into() };
        let map = |created_by: &str, key: &str, text: &str| {
            json!({"metadata": {
                "labels": {"app.kubernetes.io/component": "inventory", "app.kubernetes.io/created-by": created_by},
                "annotations": {"inventory.kustomizer.dev/source": "git", "inventory.kustomizer.dev/revision": "v1"}},
                "data": {key: text, "artifacts": "[\"host/a@sha256:0\"]"}})
        };
        let entries = r#"[{"id":"default_cm__ConfigMap","ver":"v1"},{"id":"_demo__Namespace","ver":"v1"}]"#;
        for key in ["resources", "inventory"] {
            let read = read(&map("kustomizer", key, entries), &id, MANAGER, LABEL_PREFIX).unwrap().unwrap();
            assert_eq!(read.inventory.entries.len(), 2);
            assert_eq!((read.provenance.source.as_str(), read.provenance.revision.as_str()), ("git", "v1"));
            assert_eq!(read.provenance.artifacts, ["host/a@sha256:0"]);
        }
        assert!(
            read(&map("supercargo", "resources", entries), &id, MANAGER, LABEL_PREFIX).unwrap().is_none()
        );
        assert!(
            read(&json!({"data": {"resources": entries}}), &id, MANAGER, LABEL_PREFIX).unwrap().is_none()
        );
        let broken = read(&map("kustomizer", "resources", "{"), &id, MANAGER, LABEL_PREFIX).unwrap_err();
        assert!(broken.starts_with("the entries are not a valid JSON list"), "{broken}");
    }
}
