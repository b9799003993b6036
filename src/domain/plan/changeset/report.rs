//! A plan as the API shows it, and what differs between two plans.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::change::{ChangeSet, PlanAction, PlanChange};
use crate::api::plan::{MAX_DIFFERENCES, PlanEntry, PlanField, PlanStatus};

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug)]
pub struct PlanDetail {
    /// The most changes.
    pub changes: usize,
    /// The most fields of a change.
    pub fields: usize,
    /// The most characters of a value.
    pub value: usize,
    /// The most bytes of all of them as JSON.
    pub bytes: usize,
}

/// The changes of a plan, and how many are not among them.
pub fn entries(plan: &ChangeSet, detail: PlanDetail) -> (Vec<PlanEntry>, usize) {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for change in plan.changes.iter().take(detail.changes) {
        let entry = entry(change, detail);
        // With what separates it from the others.
        bytes += 1 + size(&entry);
        if bytes >= detail.bytes {
            break;
        }
        found.push(entry);
    }
    let more = plan.changes.len() - found.len();
    (found, more)
}

fn entry(change: &PlanChange, detail: PlanDetail) -> PlanEntry {
    let cut = |text: &String| match text.char_indices().nth(detail.value) {
        None => text.clone(),
        Some((end, _)) => format!("{}…", &text[..end]),
    };
    let fields = change.fields.iter().take(detail.fields).map(|field| PlanField {
        path: field.path.clone(),
        before: field.before.as_ref().map(cut),
        after: field.after.as_ref().map(cut),
        unstable: field.is_unstable,
    });
    let more = change.fields.len().saturating_sub(detail.fields);
    PlanEntry {
        object: change.id.to_string(),
        action: change.action.as_str().to_owned(),
        digest: change.digest(),
        detail: match &change.action {
            PlanAction::HandedOver { owner } => Some(owner.clone()),
            PlanAction::Unknown { why } => Some(why.clone()),
            PlanAction::Pruned { lost, .. } if !lost.is_empty() => Some(lost.clone()),
            _ => None,
        },
        fields: fields.collect(),
        more_fields: (more > 0).then(|| i32::try_from(more).unwrap_or(i32::MAX)),
    }
}

/// How many bytes of JSON an entry takes: what JSON escapes takes up to six times its length.
fn size(entry: &PlanEntry) -> usize {
    // Plain structures always serialize.
    serde_json::to_vec(entry).map_or(0, |json| json.len())
}

/// The digest of changes that are stored where users may edit them: 64 hexadecimal digits.
pub fn changes_digest(changes: &str) -> String {
    hex::encode(Sha256::digest(changes))
}

/// The changes of the plan before, of the same revision.
#[derive(Clone, Debug, Default)]
pub struct KnownChanges(BTreeMap<String, String>);

impl KnownChanges {
    /// From the entries of that plan.
    pub fn of(plan: &[PlanEntry]) -> Self {
        Self(plan.iter().map(|entry| (entry.object.clone(), entry.digest.clone())).collect())
    }

    /// Whether an object changes in another way than in that plan. Without such a plan, none does.
    pub fn differ(&self, change: &PlanChange) -> bool {
        !self.0.is_empty() && self.0.get(&change.id.to_string()) != Some(&change.digest())
    }
}

/// Whether a plan is what is left of an approved one that was interrupted: it changes nothing that
/// was not approved.
pub fn is_left_of(plan: &ChangeSet, approved: &[PlanEntry]) -> bool {
    let approved: BTreeMap<&str, &PlanEntry> =
        approved.iter().map(|entry| (entry.object.as_str(), entry)).collect();
    plan.changes.iter().all(|change| {
        let Some(entry) = approved.get(change.id.to_string().as_str()) else { return false };
        // What was unknown is known by now; what was to be recreated may be gone.
        let is_open = ["unknown", "recreated", "run"].contains(&entry.action.as_str())
            && !matches!(change.action, PlanAction::Pruned { .. });
        let varies = !change.fields.is_empty() && change.fields.iter().all(|field| field.is_unstable);
        entry.digest == change.digest() || is_open || change.action == PlanAction::Configured && varies
    })
}

/// The first differences between a plan that was approved and the current one, for people.
pub fn differences_since(approved: &PlanStatus, now: &PlanStatus) -> Vec<String> {
    if approved.revision != now.revision {
        return vec![format!("the approved plan is about revision {}", approved.revision)];
    }
    let index = |plan: &PlanStatus| -> BTreeMap<String, PlanEntry> {
        plan.changes.iter().map(|entry| (entry.object.clone(), entry.clone())).collect()
    };
    let (old, new) = (index(approved), index(now));
    let mut found = Vec::new();
    for (object, entry) in &new {
        match old.get(object) {
            None => found.push(format!("{object} is {} and was not in the plan", words(&entry.action))),
            Some(was) if was.action != entry.action => {
                found.push(format!("{object} is {} and was {}", words(&entry.action), words(&was.action)));
            }
            Some(was) if was.digest != entry.digest => {
                let paths = |entry: &PlanEntry| -> Vec<String> {
                    entry.fields.iter().map(|f| f.path.clone()).collect()
                };
                let (before, after) = (paths(was), paths(entry));
                let other = after.iter().find(|path| !before.contains(path));
                let gone = before.iter().find(|path| !after.contains(path));
                found.push(match (other, gone) {
                    (Some(path), _) => format!("{object} changes also in {path}"),
                    (None, Some(path)) => format!("{object} does not change in {path} any more"),
                    (None, None) => format!("{object} changes from or to other values"),
                });
            }
            Some(_) => {}
        }
    }
    for (object, entry) in old.iter().filter(|(object, _)| !new.contains_key(*object)) {
        found.push(format!("{object} is not {} any more", words(&entry.action)));
    }
    if found.is_empty() {
        found.push("a change that is not listed, or a setting of the release".to_owned());
    }
    found.truncate(MAX_DIFFERENCES);
    found
}

fn words(action: &str) -> &str {
    match action {
        "handedOver" => "handed over",
        "unknown" => "applied with an unknown result",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::FieldChange;
    use super::super::seal::PlanKey;
    use super::*;
    use crate::domain::objects::identity::ObjectId;

    fn plan(revision: &str, entries: &[(&str, &str, &str, &[&str])]) -> PlanStatus {
        let changes = entries.iter().map(|(object, action, digest, paths)| PlanEntry {
            object: (*object).to_owned(),
            action: (*action).to_owned(),
            digest: (*digest).to_owned(),
            fields: paths
                .iter()
                .map(|p| PlanField { path: (*p).to_owned(), ..PlanField::default() })
                .collect(),
            ..PlanEntry::default()
        });
        PlanStatus { revision: revision.to_owned(), changes: changes.collect(), ..PlanStatus::default() }
    }

    fn created(name: &str, fields: Vec<FieldChange>) -> PlanChange {
        let id = ObjectId {
            group: String::new(),
            kind: "A".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        PlanChange::sealed(&PlanKey::of_salt("x"), &id, PlanAction::Created, fields, b"1")
    }

    #[test]
    fn what_is_stored_is_bounded_as_it_is_sent() {
        let all = PlanDetail { changes: usize::MAX, fields: usize::MAX, value: usize::MAX, bytes: 10_000 };
        let check = |value: &str, fits: usize| {
            let after = Some(value.repeat(500));
            let field = FieldChange { path: "/data/k".into(), before: None, after, is_unstable: false };
            let changes = (0..30).map(|n| created(&format!("o{n:02}"), vec![field.clone()])).collect();
            let (found, more) = entries(&ChangeSet { changes }, all);
            assert_eq!((found.len(), more), (fits, 30 - fits), "{value:?}");
            assert!(serde_json::to_string(&found).unwrap().len() <= all.bytes, "{value:?}");
        };
        check("a", 16);
        // What JSON escapes takes more.
        check("\"", 9);
        check("\u{1}", 3);
    }

    #[test]
    fn a_change_differs_from_the_plan_before_if_there_is_one() {
        let (known, other) = (created("a", Vec::new()), created("b", Vec::new()));
        let changes = ChangeSet { changes: vec![known.clone()] };
        let detail = PlanDetail { changes: 9, fields: 9, value: 9, bytes: 9_000 };
        let before = KnownChanges::of(&entries(&changes, detail).0);
        let changed =
            PlanChange::sealed(&PlanKey::of_salt("x"), &known.id, PlanAction::Created, Vec::new(), b"2");
        assert!(!before.differ(&known));
        assert!(before.differ(&changed) && before.differ(&other));
        assert!(!KnownChanges::default().differ(&changed), "there was none");
    }

    #[test]
    fn what_is_left_of_an_approved_plan_needs_no_other_approval() {
        let key = &PlanKey::of_salt("x");
        let id = |name: &str| ObjectId {
            group: String::new(),
            kind: "A".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        let made = |name: &str, action: PlanAction, content: &str, fields: Vec<FieldChange>| {
            PlanChange::sealed(key, &id(name), action, fields, content.as_bytes())
        };
        let field = |is_unstable| FieldChange { path: "/x".into(), before: None, after: None, is_unstable };
        let unknown = || PlanAction::Unknown { why: "later".into() };
        let pruned = |uid: &str| PlanAction::Pruned { uid: uid.into(), lost: String::new() };
        let approved = ChangeSet {
            changes: vec![
                made("a", PlanAction::Created, "1", Vec::new()),
                made("b", unknown(), "1", Vec::new()),
                made("c", PlanAction::Recreated { uid: "u".into() }, "1", Vec::new()),
                made("d", pruned("u"), "", Vec::new()),
            ],
        };
        let whole = PlanDetail { changes: 10, fields: 10, value: 10, bytes: 10_000 };
        let (approved, _) = entries(&approved, whole);
        let check = |change: Option<PlanChange>, expected: bool| {
            let plan = ChangeSet { changes: change.into_iter().collect() };
            assert_eq!(is_left_of(&plan, &approved), expected, "{plan:?}");
        };
        check(None, true);
        check(Some(made("a", PlanAction::Created, "1", Vec::new())), true);
        check(Some(made("a", PlanAction::Created, "2", Vec::new())), false);
        check(Some(made("a", PlanAction::Configured, "1", vec![field(false)])), false);
        // A webhook gives it another value each time.
        check(Some(made("a", PlanAction::Configured, "", vec![field(true)])), true);
        check(Some(made("b", PlanAction::Created, "2", Vec::new())), true);
        check(Some(made("b", pruned("u"), "", Vec::new())), false);
        check(Some(made("c", PlanAction::Created, "1", Vec::new())), true);
        check(Some(made("d", pruned("u"), "", Vec::new())), true);
        check(Some(made("d", pruned("v"), "", Vec::new())), false);
        check(Some(made("e", PlanAction::Created, "1", Vec::new())), false);
    }

    #[test]
    fn a_status_holds_only_so_much_of_a_plan() {
        let key = &PlanKey::of_salt("x");
        let field = FieldChange {
            path: "/data/key".into(),
            before: Some("b".repeat(200)),
            after: Some("a".repeat(200)),
            is_unstable: false,
        };
        let change = |n: usize| {
            let id = ObjectId {
                group: String::new(),
                kind: "ConfigMap".to_owned(),
                namespace: "team".to_owned(),
                name: format!("a{n}"),
            };
            PlanChange::sealed(key, &id, PlanAction::Configured, vec![field.clone(); 12], b"")
        };
        let plan = ChangeSet { changes: (0..1_000).map(change).collect() };
        let check = |detail: PlanDetail, listed: usize, fields: usize, most: usize| {
            let (found, more) = entries(&plan, detail);
            assert_eq!((found.len() + more, found[0].fields.len()), (1_000, fields));
            assert!(found.len() >= listed, "{}", found.len());
            assert!(serde_json::to_string(&found).unwrap().len() < most);
        };
        check(PlanDetail { changes: 100, fields: 10, value: 60, bytes: 100 << 10 }, 40, 10, 110 << 10);
        let all = usize::MAX;
        check(PlanDetail { changes: all, fields: all, value: all, bytes: 800 << 10 }, 130, 12, 900 << 10);
    }

    #[test]
    fn what_differs_from_the_approved_plan_is_named() {
        let old = plan("1", &[("A/a", "configured", "1", &["/x"]), ("B/b", "created", "2", &[])]);
        let check = |now: PlanStatus, expected: &[&str]| {
            assert_eq!(differences_since(&old, &now), expected);
        };
        check(plan("2", &[]), &["the approved plan is about revision 1"]);
        check(old.clone(), &["a change that is not listed, or a setting of the release"]);
        check(
            plan("1", &[("A/a", "created", "9", &[]), ("C/c", "pruned", "3", &[])]),
            &[
                "A/a is created and was configured",
                "C/c is pruned and was not in the plan",
                "B/b is not created any more",
            ],
        );
        let with =
            |paths: &[&str]| plan("1", &[("A/a", "configured", "9", paths), ("B/b", "created", "2", &[])]);
        check(with(&["/x", "/y"]), &["A/a changes also in /y"]);
        check(with(&[]), &["A/a does not change in /x any more"]);
        check(with(&["/x"]), &["A/a changes from or to other values"]);
    }
}
