//! The plan of a run: what is written, what is not changed, what is removed. A plain
//! value, decided before anything is written.

use std::collections::BTreeMap;

use super::delegated::{self, Delegation, Ignore};
use super::existing::Existing;
use super::stage::{Stage, order, stage};
use crate::api::keys;
use crate::api::step::StepPhase;
use crate::domain::inventory::{Entry, Inventory};
use crate::domain::objects::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::objects::live::Record;
use crate::domain::objects::object::Object;
use crate::domain::plan::steps::{Hold, StepPolicy};

/// How an object asks to be applied, by the annotation `supercargo.dev/apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyMode {
    /// Applied whenever it differs.
    Override,
    /// Applied only while it does not exist.
    IfNotPresent,
    /// Never applied.
    Ignore,
}

/// The mode that an object asks for. `Merge` is what a server-side apply always
/// does with the fields of other managers.
///
/// # Errors
/// The value, when it is unknown.
pub fn apply_mode(object: &Object) -> Result<ApplyMode, String> {
    match object.annotation(keys::APPLY) {
        None | Some("Override" | "Merge") => Ok(ApplyMode::Override),
        Some("IfNotPresent") => Ok(ApplyMode::IfNotPresent),
        Some("Ignore") => Ok(ApplyMode::Ignore),
        Some(other) => Err(other.to_owned()),
    }
}

/// What is known about the cluster before a run.
pub trait Live {
    /// The record of an object; `None` when it does not exist or has no owner
    /// labels.
    fn record(&self, id: &ObjectId) -> Option<Record>;
    /// Whether a missing record means that the object does not exist: the kind's
    /// watch is synced, or the object was fetched by name.
    fn is_observed(&self, id: &ObjectId) -> bool;
    /// The uid of the object of that name that has finished, where that is known
    /// and not in the inventory yet. Called after `record`.
    fn ended(&self, id: &ObjectId) -> Option<String>;
    /// Whether the inventory of the given owner contains the object.
    fn claims(&self, owner: &ReleaseId, id: &ObjectId) -> bool;

    /// Whether the inventory of `owner` still has the object, and leaves it to
    /// any other release.
    fn retains(&self, owner: &ReleaseId, id: &ObjectId) -> bool;
    /// The release that has applied the object, or is about to.
    fn reserved(&self, id: &ObjectId) -> Option<ReleaseId>;
}

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Applied.
    Write,
    /// It is unchanged since the last apply.
    Keep,
    /// It runs once for the revision, and is not applied with the rest.
    Run,
}

/// One object of the plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// Identity.
    pub id: ObjectId,
    /// API version without group.
    pub version: String,
    /// Stage.
    pub stage: Stage,
    /// Hash for the inventory.
    pub hash: String,
    /// What is done.
    pub action: Action,
    /// Whether the object was applied with this exact content and has changed
    /// since.
    pub drifted: bool,
    /// Whether it is applied only while it does not exist.
    pub only_if_absent: bool,
    /// For an object that is only created and exists already: what the plan has seen of it.
    pub found: Option<Existing>,
    /// Whether the object of the inventory does not exist any more, so that the
    /// object gets a new uid.
    pub anew: bool,
    /// Whether the inventory has the object without its uid: a run has named it before it created
    /// it, and was cut off.
    pub named: bool,
    /// The uid of the live object, where it provably belongs to the release.
    pub live: Option<String>,
    /// Whether it has finished with this exact content and is gone, as a Job is
    /// some time after it has completed.
    pub done: bool,
    /// Whether the object's annotation allows its recreation or forbids it.
    pub force: Option<bool>,
    /// The fields that are left to other managers once these own them, as JSON
    /// pointers.
    pub delegated: Vec<String>,
    /// For an object that runs once for a revision: its policy, and what is held back of it.
    pub once: Option<(StepPolicy, Hold)>,
    /// What is sent, ownership labels included.
    pub object: Object,
}

/// An object that left the revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Identity.
    pub id: ObjectId,
    /// Its entry in the inventory.
    pub entry: Entry,
}

/// An object that belongs to another release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Identity.
    pub id: ObjectId,
    /// The release that it belongs to.
    pub owner: ReleaseId,
    /// Where that is managed from, if it is not this cluster, for people.
    pub elsewhere: Option<String>,
}

/// The plan.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is applied or kept, in order.
    pub steps: Vec<Step>,
    /// What left the revision, in the order of deletion.
    pub leaving: Vec<Leaving>,
    /// What belongs to another release; a plan with conflicts is not executed.
    pub conflicts: Vec<Conflict>,
}

impl Plan {
    /// The steps that write.
    pub fn writes(&self) -> impl Iterator<Item = &Step> + Clone {
        self.steps.iter().filter(|s| s.action == Action::Write)
    }

    /// Forgets the content of the objects, once these are applied: the wait for their health may take hours, and there
    /// may be thousands of such waits. Returns about how many bytes are kept: of the steps that run after the rest.
    pub fn forget_sent(&mut self) -> u64 {
        let mut kept = 0;
        for step in &mut self.steps {
            let is_after = step.once.as_ref().is_some_and(|(policy, _)| policy.phase == StepPhase::After);
            if step.action == Action::Run && is_after {
                kept += step.object.bytes();
            } else {
                step.object = step.object.without_content();
            }
        }
        kept
    }

    /// Whether there is nothing to write and nothing to delete.
    pub fn is_quiet(&self) -> bool {
        let idle = |step: &Step| step.action == Action::Keep;
        self.leaving.is_empty() && self.steps.iter().all(idle)
    }

    /// Whether it only corrects drift of a revision whose complete result the previous
    /// inventory records. If it stops half way, the next run finds what is left to do:
    /// an object differs from its entry, or the entry has no uid.
    pub fn only_puts_back(&self, applied_key: &str, previous: &Inventory) -> bool {
        let made_anew = |id: &ObjectId| previous.entries.get(id).is_none_or(|e| e.uid.is_none());
        previous.whole() == Some(applied_key)
            && (previous.applied.is_none() || self.leaving.iter().all(|leaving| leaving.entry.retained))
            && self.writes().all(|step| step.drifted || made_anew(&step.id))
            && self.steps.iter().all(|step| step.action != Action::Run)
    }
}

/// Which drift is corrected, of what was applied with this exact content. New
/// content is written in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// What was changed, replaced or deleted.
    All,
    /// What does not exist.
    Missing,
    /// Nothing.
    Nothing,
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// The release.
    pub release: &'a ReleaseId,
    /// For objects in another cluster: the id of the cluster that has the release.
    pub mark: Option<&'a str>,
    /// Identifies the artifact and the options that it was rendered with. It is
    /// used instead of a content hash for Secrets: with a hash, anyone who reads
    /// the inventory could check guesses.
    pub applied_key: &'a str,
    /// How drift is corrected.
    pub correction: Correction,
    /// The fields that drift may change.
    pub ignore: &'a [Ignore],
}

/// Sets the labels that name the release as the owner, in another cluster with the id of the
/// cluster that has it.
pub fn set_owner_labels(object: &mut Object, release: &ReleaseId, mark: Option<&str>) {
    object.set_label(keys::OWNER_NAME, &release.name);
    object.set_label(keys::OWNER_NAMESPACE, &release.namespace);
    match mark {
        Some(mark) => object.set_label(keys::OWNER_CLUSTER, mark),
        None => object.remove_label(keys::OWNER_CLUSTER),
    }
}

/// Makes the plan. `objects` are rendered and unique, with modes that
/// [`apply_mode`] accepts.
pub fn build(purpose: Purpose<'_>, objects: Vec<Object>, previous: &Inventory, live: &dyn Live) -> Plan {
    let mut plan = Plan::default();
    let mut wanted = BTreeMap::new();
    let delegated: Vec<Vec<String>> = {
        let delegation = Delegation::of(&objects, purpose.ignore);
        objects.iter().map(|object| delegation.paths(object)).collect()
    };
    for (mut object, delegated) in objects.into_iter().zip(delegated) {
        let mode = apply_mode(&object).unwrap_or(ApplyMode::Override);
        let id = object.id();
        let record = live.record(&id);
        let before = previous.entries.get(&id);
        if mode == ApplyMode::Ignore {
            // What was applied before is kept in the inventory as long as it
            // exists and is ours; otherwise it leaves like any other object.
            let ours = record.as_ref().is_some_and(|r| r.owner.as_ref() == Some(purpose.release));
            if before.is_none() || (live.is_observed(&id) && !ours) {
                continue;
            }
        }
        wanted.insert(id.clone(), ());
        set_owner_labels(&mut object, purpose.release, purpose.mark);
        if let Some(owner) = foreign_owner(&id, record.as_ref(), purpose.release, live) {
            plan.conflicts.push(Conflict { id: id.clone(), owner, elsewhere: None });
        }
        if let Some(owner) = record.as_ref().and_then(|record| record.elsewhere.as_deref()) {
            let (owner, elsewhere) = (owner.release.clone(), Some(owner.managed_from()));
            plan.conflicts.push(Conflict { id: id.clone(), owner, elsewhere });
        }
        let hash = match object.is("", "Secret") {
            true => format!("r{}", purpose.applied_key),
            false => delegated::hash(&object, &delegated),
        };
        let only_if_absent = mode != ApplyMode::Override;
        let known = live.is_observed(&id);
        // One that had left the revision and comes back is applied, whatever its entry says.
        let same = before
            .is_some_and(|b| b.uid.is_some() && !b.retained && b.hash.as_deref() == Some(hash.as_str()));
        let missing = known && record.is_none();
        let done = missing && same && before.is_some_and(|b| b.done || b.uid == live.ended(&id));
        let as_applied =
            done || known && is_as_applied(before, record.as_ref(), only_if_absent, purpose.release);
        let left_as_it_is = match purpose.correction {
            Correction::All => false,
            Correction::Missing => !missing,
            Correction::Nothing => true,
        };
        let named = before.is_some_and(|before| before.uid.is_none() && !before.retained);
        let found = record.as_ref().filter(|_| only_if_absent).map(|record| Existing {
            owner: record.owner.clone(),
            is_left: former_owner(&id, record, purpose.release, live),
            // Labelled by a run that was interrupted before it could record the uid.
            is_ours: named,
        });
        let is_left = found.as_ref().is_some_and(|found| found.is_left);
        let keep = match as_applied {
            _ if mode == ApplyMode::Ignore => true,
            _ if is_left => false,
            true => same || only_if_absent,
            false => same && left_as_it_is,
        };
        plan.steps.push(Step {
            version: object.version().to_owned(),
            stage: stage(&id.group_kind()),
            hash,
            action: if keep { Action::Keep } else { Action::Write },
            drifted: same && known && !as_applied && !is_left,
            only_if_absent,
            found,
            live: record.as_ref().filter(|r| r.is_of(purpose.release)).map(|r| r.uid.clone()),
            anew: before.and_then(|b| b.uid.as_ref()) != record.as_ref().map(|r| &r.uid),
            named,
            done,
            force: match object.annotation(keys::FORCE) {
                Some(keys::ENABLED) => Some(true),
                Some(keys::DISABLED) => Some(false),
                _ => None,
            },
            delegated,
            id,
            once: None,
            object,
        });
    }
    plan.steps.sort_by(|a, b| order(&a.id).cmp(&order(&b.id)));
    plan.leaving = leaving(previous, |id| !wanted.contains_key(id));
    plan
}

/// The entries of an inventory that leave it, in the order of deletion.
pub fn leaving(inventory: &Inventory, leaves: impl Fn(&ObjectId) -> bool) -> Vec<Leaving> {
    let entries = inventory.entries.iter().filter(|(id, _)| leaves(id));
    let mut leaving: Vec<Leaving> =
        entries.map(|(id, entry)| Leaving { id: id.clone(), entry: entry.clone() }).collect();
    leaving.sort_by(|a, b| order(&b.id).cmp(&order(&a.id)));
    leaving
}

/// The other release that owns the object: the labels of the object name the
/// release, and the inventory of the release contains the object. Labels alone can
/// be a manual edit, or be left over from a deleted release.
fn foreign_owner(
    id: &ObjectId,
    record: Option<&Record>,
    me: &ReleaseId,
    live: &dyn Live,
) -> Option<ReleaseId> {
    match record {
        Some(record) => {
            let owner = record.owner.as_ref()?;
            (owner != me && live.claims(owner, id)).then(|| owner.clone())
        }
        // Two releases that create the same new object at the same time: it
        // belongs to the first that plans it.
        None => live.reserved(id).filter(|owner| owner != me),
    }
}

/// Whether the labels name another release that leaves the object to any other.
fn former_owner(id: &ObjectId, record: &Record, me: &ReleaseId, live: &dyn Live) -> bool {
    record.owner.as_ref().is_some_and(|owner| owner != me && live.retains(owner, id))
}

/// Whether the object is unchanged since our last apply, whatever that wrote.
fn is_as_applied(
    before: Option<&Entry>,
    record: Option<&Record>,
    only_if_absent: bool,
    me: &ReleaseId,
) -> bool {
    let (Some(before), Some(record)) = (before, record) else { return false };
    if only_if_absent && before.uid.is_none() {
        // Created by a run that was interrupted before it could record the uid: already ours.
        return record.is_of(me) && !record.deleting;
    }
    if before.uid.as_deref() != Some(record.uid.as_str()) {
        return false;
    }
    // One that is being deleted is created again once it is gone.
    only_if_absent || !record.deleting && before.fields.as_deref() == Some(record.fields.as_str())
}

/// The kinds that the CustomResourceDefinitions among the objects define.
pub fn defined_kinds(objects: &[Object]) -> Vec<GroupKind> {
    objects
        .iter()
        .filter(|o| o.is("apiextensions.k8s.io", "CustomResourceDefinition"))
        .filter_map(|o| {
            let group = o.value().pointer("/spec/group")?.as_str()?;
            let kind = o.value().pointer("/spec/names/kind")?.as_str()?;
            Some(GroupKind::new(group, kind))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inventory::Entries;
    use crate::domain::objects::live::JobRun;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[derive(Default)]
    struct World {
        records: BTreeMap<ObjectId, Record>,
        claims: BTreeSet<(String, ObjectId)>,
        retains: BTreeSet<(String, ObjectId)>,
        unknown: bool,
        ended: Option<String>,
        reserved: Option<ReleaseId>,
    }

    impl Live for World {
        fn record(&self, id: &ObjectId) -> Option<Record> {
            self.records.get(id).cloned()
        }
        fn is_observed(&self, _: &ObjectId) -> bool {
            !self.unknown
        }
        fn ended(&self, _: &ObjectId) -> Option<String> {
            self.ended.clone()
        }
        fn claims(&self, owner: &ReleaseId, id: &ObjectId) -> bool {
            self.claims.contains(&(owner.to_string(), id.clone()))
        }
        fn retains(&self, owner: &ReleaseId, id: &ObjectId) -> bool {
            self.retains.contains(&(owner.to_string(), id.clone()))
        }
        fn reserved(&self, _: &ObjectId) -> Option<ReleaseId> {
            self.reserved.clone()
        }
    }

    fn me() -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: "web".into() }
    }

    fn object(kind: &str, name: &str, annotation: Option<(&str, &str)>) -> Object {
        let mut object = Object::new(json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "apps"}, "data": {"a": "b"}
        }))
        .unwrap();
        if let Some((key, value)) = annotation {
            object.set_annotation(key, value);
        }
        object
    }

    fn record(owner: &str) -> Record {
        let (namespace, name) = owner.split_once('/').unwrap();
        Record {
            uid: "u".into(),
            version: 7,
            fields: "f".into(),
            owner: Some(ReleaseId { namespace: namespace.into(), name: name.into() }),
            elsewhere: None,
            prune_disabled: false,
            deleting: false,
            run: JobRun::default(),
            placement: None,
        }
    }

    fn applied(object: &Object) -> Entry {
        let mut object = object.clone();
        set_owner_labels(&mut object, &me(), None);
        Entry {
            version: "v1".into(),
            uid: Some("u".into()),
            hash: Some(delegated::hash(&object, &[])),
            fields: Some("f".into()),
            ..Entry::default()
        }
    }

    fn build_for(objects: &[Object], previous: &Inventory, world: &World) -> Plan {
        let release = me();
        let correction = Correction::All;
        let purpose = Purpose { release: &release, mark: None, applied_key: "key", correction, ignore: &[] };
        build(purpose, objects.to_vec(), previous, world)
    }

    #[test]
    fn only_what_is_provably_unchanged_since_the_apply_is_kept() {
        let cm = object("ConfigMap", "a", None);
        let check =
            |what: &str, entry: Option<Entry>, live: Option<Record>, unknown: bool, expected: Action| {
                let mut world = World { unknown, ..World::default() };
                let mut previous = Inventory::default();
                if let Some(live) = live {
                    world.records.insert(cm.id(), live);
                }
                if let Some(entry) = entry {
                    previous.entries.insert(cm.id(), entry);
                }
                let plan = build_for(std::slice::from_ref(&cm), &previous, &world);
                assert_eq!(plan.steps[0].action, expected, "{what}");
            };
        let same = record("apps/web");
        check("undisturbed", Some(applied(&cm)), Some(same.clone()), false, Action::Keep);
        check("new", None, None, false, Action::Write);
        check("deleted", Some(applied(&cm)), None, false, Action::Write);
        check("watch not synced", Some(applied(&cm)), Some(same.clone()), true, Action::Write);
        let edited = Record { fields: "g".into(), ..same.clone() };
        check("edited", Some(applied(&cm)), Some(edited), false, Action::Write);
        let replaced = Record { uid: "v".into(), ..same.clone() };
        check("replaced", Some(applied(&cm)), Some(replaced), false, Action::Write);
        let dying = Record { deleting: true, ..same.clone() };
        check("being deleted", Some(applied(&cm)), Some(dying), false, Action::Write);
        let other = Entry { hash: Some("x".into()), ..applied(&cm) };
        check("other content", Some(other), Some(same.clone()), false, Action::Write);
        let unfinished = Entry { uid: None, hash: None, fields: None, ..applied(&cm) };
        check("written ahead only", Some(unfinished), Some(same), false, Action::Write);
    }

    #[test]
    fn drift_that_is_not_corrected_is_marked_and_kept() {
        let cm = object("ConfigMap", "a", None);
        let edited = Record { fields: "edited".into(), ..record("apps/web") };
        let previous =
            Inventory { entries: Entries::from_iter([(cm.id(), applied(&cm))]), ..Inventory::default() };
        let release = me();
        let check = |correction, live: Option<&Record>, hash: Option<&str>, expected: (Action, bool)| {
            let mut world = World::default();
            world.records.extend(live.map(|live| (cm.id(), live.clone())));
            let mut previous = previous.clone();
            if let (Some(hash), Some(entry)) = (hash, previous.entries.get_mut(&cm.id())) {
                entry.hash = Some(hash.into());
            }
            let purpose =
                Purpose { release: &release, mark: None, applied_key: "key", correction, ignore: &[] };
            let plan = build(purpose, vec![cm.clone()], &previous, &world);
            assert_eq!((plan.steps[0].action, plan.steps[0].drifted), expected);
        };
        let edited = Some(&edited);
        check(Correction::All, edited, None, (Action::Write, true));
        check(Correction::Nothing, edited, None, (Action::Keep, true));
        check(Correction::Nothing, edited, Some("other content"), (Action::Write, false));
        check(Correction::All, None, None, (Action::Write, true));
        check(Correction::Nothing, None, None, (Action::Keep, true));
        // A revision is whole only with all of its objects.
        check(Correction::Missing, edited, None, (Action::Keep, true));
        check(Correction::Missing, None, None, (Action::Write, true));
    }

    #[test]
    fn a_plan_puts_back_only_where_all_that_it_leaves_undone_shows() {
        let cm = object("ConfigMap", "a", None);
        let mut world = World::default();
        world.records.insert(cm.id(), Record { fields: "edited".into(), ..record("apps/web") });
        let check_as = |complete: bool,
                        what: &str,
                        change: fn(&mut Entry),
                        more: Option<Entry>,
                        key: Option<&str>,
                        expected| {
            let mut entry = applied(&cm);
            change(&mut entry);
            let mut previous =
                Inventory { entries: Entries::from_iter([(cm.id(), entry)]), ..Inventory::default() };
            match complete {
                true => previous.applied = key.map(str::to_owned),
                false => previous.written = key.map(str::to_owned),
            }
            previous.entries.extend(more.map(|entry| (object("ConfigMap", "gone", None).id(), entry)));
            let plan = build_for(std::slice::from_ref(&cm), &previous, &world);
            assert_eq!(plan.writes().count(), 1, "{what}");
            assert_eq!(plan.only_puts_back("key", &previous), expected, "{what}");
        };
        let check = |what: &str, change: fn(&mut Entry), more: Option<Entry>, key: Option<&str>, expected| {
            check_as(true, what, change, more, key, expected);
        };
        let left = Entry { retained: true, ..applied(&cm) };
        check("edited", |_| {}, None, Some("key"), true);
        check("recreated, and interrupted", |e| e.uid = None, None, Some("key"), true);
        check("one stays on purpose", |_| {}, Some(left.clone()), Some("key"), true);
        check("another revision", |_| {}, None, Some("other"), false);
        check("no complete result", |_| {}, None, None, false);
        check("other content", |e| e.hash = Some("other".into()), None, Some("key"), false);
        check("one leaves", |_| {}, Some(Entry { retained: false, ..left }), Some("key"), false);
        let leaves = Entry { retained: false, ..applied(&cm) };
        check_as(false, "one leaves, as is known", |_| {}, Some(leaves), Some("key"), true);
        // What exists and belongs to another owner has no entry; the write-ahead gives it one.
        let previous = Inventory { applied: Some("key".to_owned()), ..Inventory::default() };
        let plan = build_for(std::slice::from_ref(&cm), &previous, &world);
        assert!(plan.writes().count() == 1 && plan.only_puts_back("key", &previous));
    }

    #[test]
    fn what_is_only_created_is_taken_over_from_a_release_that_leaves_it() {
        let check = |mode: Option<&str>, owner: &str, has: fn(&mut World) -> &mut BTreeSet<_>, expected| {
            let object = object("ConfigMap", "a", mode.map(|mode| (keys::APPLY, mode)));
            let mut world = World::default();
            world.records.insert(object.id(), record(owner));
            has(&mut world).insert(("apps/other".to_owned(), object.id()));
            let plan = build_for(&[object], &Inventory::default(), &world);
            let is_left = plan.steps[0].found.as_ref().map(|found| found.is_left);
            assert_eq!((plan.conflicts.len(), is_left), expected, "{mode:?} {owner}");
        };
        let once = Some("IfNotPresent");
        check(once, "apps/other", |w| &mut w.retains, (0, Some(true)));
        check(once, "apps/other", |w| &mut w.claims, (1, Some(false)));
        // Nobody will delete it: its labels are left over.
        check(once, "apps/third", |w| &mut w.retains, (0, Some(false)));
        check(once, "apps/web", |w| &mut w.retains, (0, Some(false)));
        // An apply changes the labels anyway.
        check(None, "apps/other", |w| &mut w.retains, (0, None));

        // Also one that was ours before, whatever is done about drift.
        let object = object("ConfigMap", "a", Some((keys::APPLY, "IfNotPresent")));
        for (uid, retained) in [("u", true), ("u", false), ("before", false)] {
            let entry = Entry { uid: Some(uid.into()), retained, ..applied(&object) };
            let previous =
                Inventory { entries: Entries::from_iter([(object.id(), entry)]), ..Inventory::default() };
            let mut world = World::default();
            world.records.insert(object.id(), record("apps/other"));
            world.retains.insert(("apps/other".to_owned(), object.id()));
            let plan = build_for(std::slice::from_ref(&object), &previous, &world);
            let step = &plan.steps[0];
            assert_eq!((step.action, step.drifted), (Action::Write, false), "{uid} {retained}");
        }
    }

    #[test]
    fn what_has_finished_with_this_content_is_not_recreated() {
        let check = |mode: Option<&str>, entry: fn(Entry) -> Entry, expected: (Action, bool, bool)| {
            let job = object("Job", "migrate", mode.map(|mode| (keys::APPLY, mode)));
            let entry = entry(Entry { done: true, ..applied(&job) });
            let previous =
                Inventory { entries: Entries::from_iter([(job.id(), entry)]), ..Inventory::default() };
            let plan = build_for(&[job], &previous, &World::default());
            let step = &plan.steps[0];
            assert_eq!((step.action, step.drifted, step.done), expected, "{mode:?}");
        };
        for mode in [None, Some("IfNotPresent")] {
            check(mode, |e| e, (Action::Keep, false, true));
            check(mode, |e| Entry { done: false, ..e }, (Action::Write, true, false));
            check(mode, |e| Entry { hash: Some("other content".into()), ..e }, (Action::Write, false, false));
        }
        // The inventory does not say so yet.
        let job = object("Job", "migrate", None);
        let previous =
            Inventory { entries: Entries::from_iter([(job.id(), applied(&job))]), ..Inventory::default() };
        for (uid, expected) in [("u", Action::Keep), ("another", Action::Write)] {
            let world = World { ended: Some(uid.into()), ..World::default() };
            let plan = build_for(std::slice::from_ref(&job), &previous, &world);
            assert_eq!((plan.steps[0].action, plan.steps[0].done), (expected, expected == Action::Keep));
        }
        // It exists: what is known of it counts, as for any other object.
        let job = object("Job", "migrate", None);
        let mut world = World::default();
        world.records.insert(job.id(), Record { fields: "edited".into(), ..record("apps/web") });
        let entry = Entry { done: true, ..applied(&job) };
        let previous = Inventory { entries: Entries::from_iter([(job.id(), entry)]), ..Inventory::default() };
        assert_eq!(build_for(std::slice::from_ref(&job), &previous, &world).steps[0].action, Action::Write);
        world.unknown = true;
        assert_eq!(build_for(&[job], &previous, &world).steps[0].action, Action::Write);
    }

    #[test]
    fn whose_a_field_is_is_part_of_what_was_applied() {
        let web = Object::new(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "apps"}, "spec": {"replicas": 5}}))
        .unwrap();
        let scaler = Object::new(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "apps"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}))
        .unwrap();
        let mut world = World::default();
        world.records.insert(web.id(), record("apps/web"));
        let previous =
            Inventory { entries: Entries::from_iter([(web.id(), applied(&web))]), ..Inventory::default() };
        let alone = build_for(std::slice::from_ref(&web), &previous, &world);
        assert_eq!(alone.steps[0].action, Action::Keep);
        let scaled = build_for(&[web, scaler], &previous, &world);
        assert_eq!((scaled.steps[0].action, scaled.steps[0].drifted), (Action::Write, false));
        assert_eq!(scaled.steps[0].delegated, ["/spec/replicas"]);
        assert_eq!(scaled.steps[0].object.value()["spec"]["replicas"], 5, "it is decided when it is sent");
    }

    #[test]
    fn a_secret_has_no_content_hash_in_the_inventory() {
        let plan = build_for(&[object("Secret", "s", None)], &Inventory::default(), &World::default());
        assert_eq!(plan.steps[0].hash, "rkey");
    }

    #[test]
    fn an_object_of_another_release_is_a_conflict_only_if_that_release_names_it() {
        let cm = object("ConfigMap", "a", None);
        let mut world = World::default();
        world.records.insert(cm.id(), record("apps/other"));
        assert!(build_for(std::slice::from_ref(&cm), &Inventory::default(), &world).conflicts.is_empty());
        world.claims.insert(("apps/other".into(), cm.id()));
        let plan = build_for(std::slice::from_ref(&cm), &Inventory::default(), &world);
        assert_eq!(plan.conflicts[0].owner.to_string(), "apps/other");
        let other = Some(ReleaseId { namespace: "apps".into(), name: "other".into() });
        let new = World { reserved: other, ..World::default() };
        assert_eq!(build_for(&[cm], &Inventory::default(), &new).conflicts.len(), 1);
    }

    #[test]
    fn what_leaves_is_deleted_in_reverse() {
        let mut previous = Inventory::default();
        for id in
            ["_apps__Namespace", "apps_web_apps_Deployment", "apps_cm__ConfigMap", "apps_kept__ConfigMap"]
        {
            previous.entries.insert(ObjectId::from_inventory_id(id).unwrap(), Entry::default());
        }
        let plan = build_for(&[object("ConfigMap", "kept", None)], &previous, &World::default());
        let leaving: Vec<String> = plan.leaving.iter().map(|l| l.id.to_string()).collect();
        assert_eq!(leaving, ["Deployment/apps/web", "ConfigMap/apps/cm", "Namespace/apps"]);
    }

    #[test]
    fn annotations_say_how_an_object_is_applied() {
        let ignored = object("ConfigMap", "a", Some((keys::APPLY, "Ignore")));
        let once = object("ConfigMap", "b", Some((keys::APPLY, "IfNotPresent")));
        let forced = object("ConfigMap", "c", Some((keys::FORCE, "enabled")));
        let firm = object("ConfigMap", "d", Some((keys::FORCE, "disabled")));
        let objects = [ignored, once.clone(), forced, firm];
        let plan = build_for(&objects, &Inventory::default(), &World::default());
        let steps: Vec<_> =
            plan.steps.iter().map(|s| (s.id.name.as_str(), s.only_if_absent, s.force)).collect();
        assert_eq!(steps, [("b", true, None), ("c", false, Some(true)), ("d", false, Some(false))]);
        assert_eq!(
            apply_mode(&object("ConfigMap", "a", Some((keys::APPLY, "Sometimes")))),
            Err("Sometimes".to_owned())
        );
        let mut world = World::default();
        world.records.insert(once.id(), Record { fields: "edited".into(), ..record("apps/web") });
        let previous =
            Inventory { entries: Entries::from_iter([(once.id(), applied(&once))]), ..Inventory::default() };
        assert_eq!(build_for(&[once], &previous, &world).steps[0].action, Action::Keep);
    }
}
