//! What a way back to an earlier revision would lose and cannot bring back.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::objects::identity::ObjectId;

/// Whether the kind holds what its deletion loses.
pub fn holds_data(id: &ObjectId) -> bool {
    id.is("", "PersistentVolumeClaim")
        || id.is("", "PersistentVolume")
        || id.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// The versions that the API server would not serve any more.
pub fn unserved(live: &Value, wanted: &Value) -> Vec<String> {
    let kept = served(wanted);
    served(live).difference(&kept).cloned().collect()
}

fn served(definition: &Value) -> BTreeSet<String> {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let served = versions.into_iter().flatten().filter(|version| version["served"] == true);
    served.filter_map(|version| version["name"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    #[test]
    fn claims_volumes_and_definitions_hold_data() {
        let check = |id: &str, holds: bool| {
            assert_eq!(holds_data(&ObjectId::from_inventory_id(id).unwrap()), holds, "{id}");
        };
        check("ns_data__PersistentVolumeClaim", true);
        check("_data__PersistentVolume", true);
        check("_x_apiextensions.k8s.io_CustomResourceDefinition", true);
        check("ns_web__ConfigMap", false);
        check("ns_data_example.com_PersistentVolumeClaim", false);
    }

    #[test]
    fn a_definition_keeps_the_versions_that_it_serves() {
        let versions = |all: &[(&str, bool)]| {
            let all: Vec<Value> =
                all.iter().map(|(n, served)| json!({"name": n, "served": served})).collect();
            json!({"spec": {"versions": all}})
        };
        let check = |live: &[(&str, bool)], wanted: &[(&str, bool)], lost: &[&str]| {
            assert_eq!(unserved(&versions(live), &versions(wanted)), lost, "{live:?} {wanted:?}");
        };
        check(&[("v1", true), ("v2", true)], &[("v1", true)], &["v2"]);
        check(&[("v1", true), ("v2", true)], &[("v1", true), ("v2", false)], &["v2"]);
        check(&[("v1", true), ("v2", false)], &[("v1", true)], &[]);
        check(&[("v1", true)], &[("v1", true), ("v2", true)], &[]);
    }
}
