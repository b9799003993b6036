//! Transfers field ownership (managedFields) from one manager to another, so that a
//! field that is later removed from the manifests is also removed from the object: as
//! long as the old manager is a co-owner, the field would remain.
//!
//! The shape of managedFields is that of meta/v1 ManagedFieldsEntry; the API
//! server stores the list of a writer unchanged, if nothing else changes
//! (kubernetes.io, Server-Side Apply, "Transferring ownership").

use serde_json::{Map, Value};

use crate::api::keys::FIELD_MANAGER;

/// The managedFields of an object after the fields that `managers` have applied are
/// transferred to us; `None` when there is nothing to transfer.
///
/// Entries of subresources and of other managers do not change. Fields that the old
/// managers have updated, and that we have relabelled, become applied by us as well.
/// Two fields lose their owner: `spec.replicas`, which we omit from the apply if an
/// autoscaler sets it, and which the API server would set to 1 if we were its last
/// owner; and the annotation that protects an object from deletion, which no manifest
/// has.
pub fn take_over(live: &Value, managers: &[String]) -> Option<Vec<Value>> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let ours = |entry: &Value| text(entry, "manager") == FIELD_MANAGER;
    let theirs = |entry: &Value| managers.contains(&text(entry, "manager"));
    let given = |entry: &&Value| entry.get("subresource").is_none() && (ours(entry) || theirs(entry));
    let (taken, kept): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(given);
    let is_apply = |entry: &&&Value| text(entry, "operation") == "Apply";
    if !taken.iter().any(|e| theirs(e)) && taken.iter().all(|e| is_apply(&e)) {
        return None;
    }
    // The version that the paths belong to: that of the last apply.
    let latest = taken.iter().filter(is_apply).max_by_key(|e| text(e, "time")).or(taken.first())?;
    let mut fields = Map::new();
    for entry in &taken {
        if let Some(more) = entry.get("fieldsV1").and_then(Value::as_object) {
            unite(&mut fields, more);
        }
    }
    let without: [&[&str]; 2] =
        [&["f:spec", "f:replicas"], &["f:metadata", "f:annotations", concat!("f:", "supercargo.dev/prune")]];
    for path in without {
        leave_out(&mut fields, path);
    }
    let mut entry = (**latest).clone();
    entry["manager"] = FIELD_MANAGER.into();
    entry["operation"] = "Apply".into();
    entry["fieldsV1"] = Value::Object(fields);
    Some(kept.into_iter().cloned().chain([entry]).collect())
}

fn leave_out(fields: &mut Map<String, Value>, path: &[&str]) {
    match path {
        [] => {}
        [last] => drop(fields.remove(*last)),
        [first, rest @ ..] => {
            if let Some(Value::Object(below)) = fields.get_mut(*first) {
                leave_out(below, rest);
            }
        }
    }
}

/// Adds the paths of one set of fields to another.
fn unite(into: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (path, below) in more {
        match (into.get_mut(path), below.as_object()) {
            (Some(Value::Object(there)), Some(below)) => unite(there, below),
            (Some(_), _) => {}
            (None, _) => {
                into.insert(path.clone(), below.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
               "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn taken(entries: &[Value]) -> Option<Vec<Value>> {
        take_over(&json!({"metadata": {"managedFields": entries}}), &["old".to_owned()])
    }

    #[test]
    fn what_the_old_manager_applied_is_ours_and_what_others_own_stays() {
        let other = entry("hpa", "Update", json!({"f:spec": {"f:replicas": {}}}));
        let mut status = entry("old", "Update", json!({"f:status": {}}));
        status["subresource"] = "status".into();
        let old =
            entry("old", "Apply", json!({"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}));
        let label = entry("supercargo", "Update", json!({"f:metadata": {"f:labels": {"f:y": {}}}}));
        let united = json!({"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}, "f:y": {}}}});
        assert_eq!(
            taken(&[other.clone(), old, status.clone(), label]),
            Some(vec![other, status, entry("supercargo", "Apply", united)])
        );
    }

    #[test]
    fn what_is_ours_already_is_left_alone() {
        assert_eq!(taken(&[entry("supercargo", "Apply", json!({"f:data": {}}))]), None);
        assert_eq!(taken(&[entry("hpa", "Update", json!({}))]), None);
        assert_eq!(taken(&[]), None);
        assert_eq!(take_over(&json!({"metadata": {}}), &["old".to_owned()]), None);
    }

    #[test]
    fn replicas_and_the_mark_against_deletion_become_nobodys() {
        let old = entry("old", "Apply", json!({"f:spec": {"f:replicas": {}, "f:template": {}}}));
        let mark = json!({"f:metadata": {"f:annotations": {"f:supercargo.dev/prune": {}, "f:x": {}}}});
        let ours = entry("supercargo", "Update", mark);
        let left = json!({"f:spec": {"f:template": {}}, "f:metadata": {"f:annotations": {"f:x": {}}}});
        assert_eq!(taken(&[old, ours]), Some(vec![entry("supercargo", "Apply", left)]));
    }

    #[test]
    fn the_version_is_that_of_the_last_apply() {
        let mut older = entry("old", "Apply", json!({"f:a": {}}));
        older["time"] = "2020-01-01T00:00:00Z".into();
        older["apiVersion"] = "v1beta1".into();
        let ours = entry("supercargo", "Apply", json!({"f:b": {}}));
        let united = taken(&[older, ours]).unwrap();
        assert_eq!(united, [entry("supercargo", "Apply", json!({"f:a": {}, "f:b": {}}))]);
    }
}
