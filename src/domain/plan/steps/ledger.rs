//! The records of steps in the status.

use crate::api::step::{StepOutcome, StepStatus};
use crate::domain::objects::identity::{ObjectId, group_of};

/// The object of a record.
pub fn id_of(record: &StepStatus) -> Option<ObjectId> {
    let group = group_of(&record.api_version);
    let parts: Vec<&str> = record.step.split('/').collect();
    let (kind, namespace, name) = match parts.as_slice() {
        [kind, namespace, name] => (*kind, *namespace, *name),
        [kind, name] => (*kind, "", *name),
        _ => return None,
    };
    let text = |part: &str| part.to_owned();
    Some(ObjectId { namespace: text(namespace), name: text(name), group: text(group), kind: text(kind) })
}

/// Whether a record is about an object.
pub fn is_about(record: &StepStatus, id: &ObjectId) -> bool {
    id_of(record).as_ref() == Some(id)
}

/// The record of an object for a revision.
pub fn record_of<'r>(records: &'r [StepStatus], id: &ObjectId, key: &str) -> Option<&'r StepStatus> {
    records.iter().find(|record| record.key == key && is_about(record, id))
}

/// Adds a record, or replaces the one of that object and revision. Finished records of other
/// revisions end with the first record of a new one.
pub fn put(records: &mut Vec<StepStatus>, record: StepStatus) {
    match records
        .iter_mut()
        .find(|r| r.key == record.key && r.step == record.step && r.api_version == record.api_version)
    {
        Some(known) => *known = record,
        None => {
            records.retain(|r| r.key == record.key || r.outcome == StepOutcome::Started);
            records.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: &str, key: &str, outcome: StepOutcome) -> StepStatus {
        let (api_version, step) = ("batch/v1".to_owned(), step.to_owned());
        StepStatus { step, api_version, key: key.to_owned(), outcome, ..StepStatus::default() }
    }

    #[test]
    fn a_record_names_its_object() {
        let check = |step: &str, version: &str, expected: Option<&str>| {
            let record =
                StepStatus { api_version: version.to_owned(), ..record(step, "a", StepOutcome::Started) };
            assert_eq!(id_of(&record).map(|id| id.to_inventory_id()).as_deref(), expected, "{step}");
        };
        check("Job/b/a", "batch/v1", Some("b_a_batch_Job"));
        check("Pod/b/a", "v1", Some("b_a__Pod"));
        check("Run/a", "example.com/v1", Some("_a_example.com_Run"));
        check("Job", "batch/v1", None);
        check("", "", None);
    }

    #[test]
    fn records_of_a_new_revision_replace_finished_ones() {
        use StepOutcome::{Failed, Started, Succeeded};
        let mut records = vec![record("Job/b/x", "a", Succeeded), record("Job/b/y", "a", Started)];
        put(&mut records, record("Job/b/x", "a", Failed));
        assert_eq!(records, [record("Job/b/x", "a", Failed), record("Job/b/y", "a", Started)]);
        put(&mut records, record("Job/b/x", "b", Started));
        assert_eq!(records, [record("Job/b/y", "a", Started), record("Job/b/x", "b", Started)]);
        let id = id_of(&records[1]).unwrap();
        assert!(record_of(&records, &id, "b").is_some() && record_of(&records, &id, "a").is_none());
    }
}
