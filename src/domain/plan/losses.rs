//! What a way back to an earlier revision would lose and cannot bring back.

use std::collections::BTreeSet;

use serde_json::Value;

use super::build::Leaving;
use crate::domain::objects::identity::ObjectId;
use crate::domain::objects::live::Record;

/// Whether the kind holds what its deletion loses.
pub fn holds_data(id: &ObjectId) -> bool {
    id.is("", "PersistentVolumeClaim")
        || id.is("", "PersistentVolume")
        || id.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// The objects with data that would be deleted. `record` is what is known of an object.
pub fn deleted(
    leaving: &[Leaving],
    prunes: bool,
    record: impl Fn(&ObjectId) -> Option<Record>,
) -> Vec<&ObjectId> {
    let going = leaving.iter().filter(|l| prunes && !l.entry.retained && holds_data(&l.id));
    let exists = |id: &ObjectId| record(id).is_some_and(|record| !record.prune_disabled);
    going.map(|leaving| &leaving.id).filter(|id| exists(id)).collect()
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
    use crate::domain::inventory::Entry;
    use crate::domain::objects::live::JobRun;

    fn record(prune_disabled: bool) -> Record {
        Record {
            uid: "u".into(),
            version: 1,
            fields: "f".into(),
            owner: None,
            prune_disabled,
            deleting: false,
            run: JobRun::On,
            placement: None,
        }
    }

    #[test]
    fn what_holds_data_is_not_deleted_by_a_way_back() {
        let check = |id: &str, retained: bool, prunes: bool, record: Option<Record>, lost: bool| {
            let id = ObjectId::from_inventory_id(id).unwrap();
            let leaving = [Leaving { id, entry: Entry { retained, ..Entry::default() } }];
            assert_eq!(!deleted(&leaving, prunes, |_| record.clone()).is_empty(), lost, "{leaving:?}");
        };
        let (claim, crd) =
            ("ns_data__PersistentVolumeClaim", "_x_apiextensions.k8s.io_CustomResourceDefinition");
        check(claim, false, true, Some(record(false)), true);
        check(crd, false, true, Some(record(false)), true);
        check("ns_web__ConfigMap", false, true, Some(record(false)), false);
        // It stays anyway, or is not there.
        check(claim, true, true, Some(record(false)), false);
        check(claim, false, false, Some(record(false)), false);
        check(claim, false, true, Some(record(true)), false);
        check(claim, false, true, None, false);
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
