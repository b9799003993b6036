//! Two sets of objects, compared object by object.

use std::collections::HashMap;
use std::fmt;

use super::unified;
use crate::domain::objects::identity::ObjectId;
use crate::domain::objects::object::Object;
use crate::domain::plan::stage::order;

/// How an object differs between the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is only in the second set.
    Created,
    /// It is in both, and differs.
    Changed,
    /// It is only in the first set.
    Deleted,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        })
    }
}

/// One object that is not the same in both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectChange {
    /// The object.
    pub id: ObjectId,
    /// How it differs.
    pub kind: ChangeKind,
    /// The hunks of a change, as [`unified`] writes them; empty where the whole
    /// object was added or removed.
    pub diff: String,
}

/// The objects that differ: those of the second set in the order of the apply, then
/// the removed ones, in reverse order.
pub fn subject_changes(before: &[Object], after: &[Object]) -> Vec<SubjectChange> {
    let mut old: HashMap<ObjectId, &Object> = before.iter().map(|o| (o.id(), o)).collect();
    let mut found = Vec::new();
    for object in after {
        let id = object.id();
        let (kind, diff) = match old.remove(&id) {
            None => (ChangeKind::Created, String::new()),
            Some(was) => {
                let diff = unified(Some(was.value()), Some(object.value()));
                if diff.is_empty() {
                    continue;
                }
                (ChangeKind::Changed, diff)
            }
        };
        found.push(SubjectChange { id, kind, diff });
    }
    sort(&mut found);
    let gone = old.into_keys().map(|id| SubjectChange { id, kind: ChangeKind::Deleted, diff: String::new() });
    let mut gone: Vec<SubjectChange> = gone.collect();
    sort(&mut gone);
    found.extend(gone.into_iter().rev());
    found
}

fn sort(changes: &mut [SubjectChange]) {
    changes.sort_by(|a, b| order(&a.id).cmp(&order(&b.id)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, value: u32) -> Object {
        let meta = json!({"name": name, "namespace": if kind == "Namespace" { "" } else { "apps" }});
        Object::new(json!({"apiVersion": "v1", "kind": kind, "metadata": meta, "data": {"k": value}}))
            .unwrap()
    }

    #[test]
    fn objects_are_compared_by_identity_and_listed_in_order() {
        let before = [
            object("ConfigMap", "same", 1),
            object("ConfigMap", "gone", 1),
            object("Namespace", "gone", 1),
            object("ConfigMap", "other", 1),
        ];
        let after = [
            object("Service", "new", 1),
            object("ConfigMap", "other", 2),
            object("ConfigMap", "same", 1),
            object("Namespace", "new", 1),
        ];
        let reported: Vec<String> =
            subject_changes(&before, &after).iter().map(|c| format!("{} {}", c.id, c.kind)).collect();
        assert_eq!(
            reported,
            [
                "Namespace/new created",
                "ConfigMap/apps/other changed",
                "Service/apps/new created",
                "ConfigMap/apps/gone deleted",
                "Namespace/gone deleted",
            ]
        );
        assert!(subject_changes(&after, &after).is_empty());
    }
}
