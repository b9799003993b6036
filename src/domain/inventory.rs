//! The inventory: the objects of a release in the cluster. How it is encoded, split
//! into parts, and settled after a run. Reading and writing it is elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::manifest::chart::ChartRecord;
use super::objects::identity::ObjectId;
use super::process::remote::place::RemotePlace;

/// The most bytes of entries in a part. A ConfigMap holds 1 MiB; while parts are
/// rewritten one may hold both its old and its new entries, so half of that is the
/// limit.
pub const PART_BYTES: usize = 450 * 1024;

/// The most parts that are read or written.
pub const MAX_PARTS: usize = 256;

/// What is known of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// API version (without group) it was last applied with.
    pub version: String,
    /// The uid that the API server gave it; none before it was applied.
    pub uid: Option<String>,
    /// Hash of what was applied.
    pub hash: Option<String>,
    /// Hash of our entry in `metadata.managedFields` after it was applied; none
    /// for an object that may change once it exists.
    pub fields: Option<String>,
    /// Whether it left the revision and is retained: it opts out, or pruning is off.
    pub retained: bool,
    /// Whether it has completed as applied, as Jobs and pods do: if it is gone later,
    /// that is not drift.
    pub done: bool,
}

/// The entries of an inventory, sorted by identity. A release at rest keeps them, so they are in one list: a tree takes
/// as much for one entry as for eleven. Many are added or removed together (`extend`, `retain`), not one by one.
pub type Entries = LiteMap<ObjectId, Entry>;

/// The objects of a release. The order of ids is that of [`ObjectId`]; the
/// order of work is the plan's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// By identity.
    pub entries: Entries,
    /// Which artifact and options the entries are the complete result of; none
    /// while a run is in progress or after one that did not finish.
    pub applied: Option<String>,
    /// Which artifact and options the cluster has every object of, although the entries
    /// are not their complete result: removed objects still exist, or not all objects
    /// were healthy in time. None where `applied` says it.
    pub written: Option<String>,
    /// The rollout that has begun and is not complete. None where `applied` says that it is.
    pub begun: Option<BegunRollout>,
    /// The program that has built the objects from a kustomization, if they were built: another one may
    /// build the same artifact to something else.
    pub built: Option<String>,
    /// The cluster of the objects, if it is not the operator's own.
    pub place: Option<Arc<RemotePlace>>,
    /// What the chart was rendered for, if the artifact is one.
    pub chart: Option<Arc<ChartRecord>>,
}

/// A rollout that has begun: objects of it may be in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunRollout {
    /// The repository, without `oci://`.
    pub source: String,
    /// The revision, `tag@digest` or the digest.
    pub revision: String,
    /// Identifies digest and rendering options.
    pub key: String,
}

/// What an inventory says about where its objects come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Where, for people: a repository or the URL of a Git repository.
    pub source: String,
    /// Which revision of it.
    pub revision: String,
    /// The artifacts, `host/repository@sha256:…`.
    pub artifacts: Vec<String>,
    /// When it was applied last, RFC 3339 in whole seconds, UTC.
    pub applied_at: String,
    /// The tool that the objects are being adopted from; empty when that is done.
    pub adopting: String,
}

/// Why the text of an inventory is refused.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Not the expected JSON.
    #[error("the entries are not a valid JSON list")]
    Json(#[source] serde_json::Error),
    /// The cluster of the objects is unknown.
    #[error("data.cluster does not say in which cluster the objects are")]
    Place(#[source] serde_json::Error),
    /// An invalid id.
    #[error("{0:?} is not an object id of the form namespace_name_group_Kind")]
    Id(String),
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    id: std::borrow::Cow<'a, str>,
    /// The name, where the id does not read back as it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<std::borrow::Cow<'a, str>>,
    ver: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    done: bool,
}

impl Inventory {
    /// Adds the entries that a part holds. What an earlier part holds stays.
    ///
    /// # Errors
    /// Says what is wrong with the text; nothing is added then.
    pub fn read_part(&mut self, text: &str) -> Result<(), InventoryError> {
        let written: Vec<Written> = serde_json::from_str(text).map_err(InventoryError::Json)?;
        let mut read = Vec::with_capacity(written.len());
        for entry in written {
            let mut id = ObjectId::from_inventory_id(&entry.id)
                .ok_or_else(|| InventoryError::Id(entry.id.chars().take(200).collect()))?;
            if let Some(name) = entry.name.filter(|name| !name.is_empty()) {
                id.name = name.into_owned();
            }
            let entry = Entry {
                version: entry.ver.into_owned(),
                uid: entry.uid.map(Into::into),
                hash: entry.hash.map(Into::into),
                fields: entry.fields.map(Into::into),
                retained: entry.left,
                done: entry.done,
            };
            read.push((id, entry));
        }
        read.retain(|(id, _)| !self.entries.contains_key(id));
        // Of an id that is twice in it, the first one counts.
        self.entries.extend(read.into_iter().rev());
        Ok(())
    }

    /// Takes the cluster that a part names.
    ///
    /// # Errors
    /// When it names none.
    pub fn read_place(&mut self, text: &str) -> Result<(), InventoryError> {
        let place: RemotePlace = serde_json::from_str(text).map_err(InventoryError::Place)?;
        self.place = Some(Arc::new(place));
        Ok(())
    }

    /// Which artifact and options the cluster has every object of, whatever else it still
    /// has.
    pub fn whole(&self) -> Option<&str> {
        self.applied.as_deref().or(self.written.as_deref())
    }

    /// Whether the object belongs to the release: a retained object is in the
    /// inventory, but any other release may take it.
    pub fn claims(&self, id: &ObjectId) -> bool {
        self.entries.get(id).is_some_and(|entry| !entry.retained)
    }

    /// Whether the object is in the inventory and any other release may take it.
    pub fn retains(&self, id: &ObjectId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.retained)
    }

    /// The objects that belong to the release, see [`Inventory::claims`].
    pub fn claimed(&self) -> impl Iterator<Item = &ObjectId> {
        self.entries.iter().filter(|(_, entry)| !entry.retained).map(|(id, _)| id)
    }

    /// The texts of the parts, each at most about `part_bytes` long; always at least
    /// one.
    pub fn write_parts(&self, part_bytes: usize) -> Vec<String> {
        let mut parts = Vec::new();
        let mut part = String::from("[");
        for (id, entry) in &self.entries {
            let text = id.to_inventory_id();
            let ambiguous = ObjectId::from_inventory_id(&text).as_ref() != Some(id);
            let written = Written {
                id: text.into(),
                name: ambiguous.then_some(id.name.as_str().into()),
                ver: entry.version.as_str().into(),
                uid: entry.uid.as_deref().map(Into::into),
                hash: entry.hash.as_deref().map(Into::into),
                fields: entry.fields.as_deref().map(Into::into),
                left: entry.retained,
                done: entry.done,
            };
            // A struct of strings has no reason to fail.
            let text = serde_json::to_string(&written).unwrap_or_default();
            if part.len() > 1 && part.len() + text.len() + 2 > part_bytes {
                part.push(']');
                parts.push(std::mem::replace(&mut part, String::from("[")));
            }
            if part.len() > 1 {
                part.push(',');
            }
            part.push_str(&text);
        }
        part.push(']');
        parts.push(part);
        parts
    }

    /// The write-ahead inventory: the existing objects and those that are about to be
    /// created, so that no created object is ever unknown: each with its API version and
    /// whether it will be recreated. The uid of a recreated one is dropped, or the new
    /// object would count as another's. Other existing entries do not change. It is not
    /// the complete result of a revision, unless the run only corrects drift
    /// (`puts_back`). `None` when nothing differs.
    pub fn with_expected<'a>(
        &self,
        expected: impl Iterator<Item = (&'a ObjectId, &'a str, bool)>,
        puts_back: bool,
    ) -> Option<Self> {
        let added: Vec<(ObjectId, Entry)> = expected
            .filter(|(id, _, anew)| self.entries.get(*id).is_none_or(|e| *anew && e.uid.is_some()))
            .map(|(id, version, _)| (id.clone(), Entry { version: version.to_owned(), ..Entry::default() }))
            .collect();
        if added.is_empty() {
            return None;
        }
        let mut union = if puts_back { self.clone() } else { self.clone().unattributed() };
        union.entries.extend(added);
        Some(union)
    }

    /// The inventory once these objects have completed, each as the object with that
    /// uid. `None` when it says so already, or has no such object.
    pub fn with_done<'a>(&self, done: impl Iterator<Item = (&'a ObjectId, &'a str)>) -> Option<Self> {
        let mut marked: Option<Self> = None;
        for (id, uid) in done {
            let news = self.entries.get(id).is_some_and(|e| !e.done && e.uid.as_deref() == Some(uid));
            if news && let Some(entry) = marked.get_or_insert_with(|| self.clone()).entries.get_mut(id) {
                entry.done = true;
            }
        }
        marked
    }

    /// The inventory without a complete result, for a run that only writes existing
    /// objects. Where another process would put them back as drift (`undone`), this is not
    /// needed. Where it would not, the mixture would count as the old revision if the spec
    /// went back to it. `None` when there is nothing to write.
    pub fn unsettled(&self, writes: bool, undone: bool) -> Option<Self> {
        let unseen = writes && !undone && self.whole().is_some();
        unseen.then(|| self.clone().unattributed())
    }

    /// The inventory of a rollout: while it is not complete, it says which one, and always what has built
    /// its objects, if they were built.
    #[must_use]
    pub fn with_begun(self, rollout: &BegunRollout, built: Option<&str>) -> Self {
        let begun = Some(rollout.clone()).filter(|_| self.applied.is_none());
        Self { begun, built: built.map(str::to_owned), ..self }
    }

    /// The same entries, as the result of no revision.
    #[must_use]
    pub fn unattributed(self) -> Self {
        Self { applied: None, written: None, ..self }
    }
}

/// The result for an object that a run wanted to apply or to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was applied, or was up to date: this is its new entry.
    Applied(Entry),
    /// It could not be applied. It may or may not exist.
    Failed,
    /// It was not attempted.
    NotAttempted,
    /// It is confirmed gone.
    Gone,
    /// It left the revision and still exists: refused, or terminating.
    Remains,
    /// It left the revision and is retained: it opts out, or pruning is off.
    Retained,
    /// It does not belong to this release, or its owner has released it.
    Dropped,
}

/// The owner of an object that exists, and so was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The release's, by its labels: the object with this uid.
    Ours(String),
    /// Another owner's.
    Theirs,
    /// The owner cannot be read.
    Unknown,
}

impl Whose {
    /// The result for its entry. `live` is the uid of the object if the dry run has shown
    /// it, `version` and `hash` are what would have been applied.
    pub fn fate(self, before: Option<&Entry>, live: Option<&str>, version: &str, hash: &str) -> Fate {
        match (self, before) {
            (Self::Ours(uid), before) => {
                let before = before.cloned().unwrap_or_default();
                Fate::Applied(before.left_alone(Some(uid), version, hash))
            }
            // It belonged to the release, and nothing shows that this has changed.
            (Self::Unknown, Some(before)) if live.is_none() || before.uid.as_deref() == live => {
                Fate::Applied(before.left_alone(None, version, hash))
            }
            (Self::Unknown | Self::Theirs, _) => Fate::Dropped,
        }
    }
}

impl Entry {
    /// The entry of an object that exists and is not applied again: it may change from now
    /// on. `uid` is that of the object, if it is known.
    #[must_use]
    pub fn left_alone(&self, uid: Option<String>, version: &str, hash: &str) -> Self {
        let same = uid.is_none() || self.uid == uid;
        Self {
            version: if self.version.is_empty() { version.to_owned() } else { self.version.clone() },
            uid: uid.or_else(|| self.uid.clone()),
            hash: self.hash.clone().or_else(|| Some(hash.to_owned())),
            fields: None,
            retained: false,
            done: self.done && same,
        }
    }
}

/// How much of a revision a run leaves in the cluster. The revision is named by its
/// artifact and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Possibly not all of it.
    Partial,
    /// All of it, see [`Inventory::written`].
    Written(String),
    /// All of it, healthy if `wait` is set, and nothing that was removed from it.
    Complete(String),
}

/// The inventory after a run: it keeps what may be in the cluster, and drops what is
/// confirmed gone or not ours. `before` is the write-ahead inventory.
pub fn settle(before: &Inventory, fates: &BTreeMap<ObjectId, Fate>, extent: Extent) -> Inventory {
    let mut entries = before.entries.clone();
    entries.retain(|id, _| !matches!(fates.get(id), Some(Fate::Gone | Fate::Dropped)));
    let mut added = Vec::new();
    for (id, fate) in fates {
        match (fate, entries.get_mut(id)) {
            (Fate::Applied(entry), Some(before)) => *before = entry.clone(),
            // All that are applied were written ahead, so there are none in general.
            (Fate::Applied(entry), None) => added.push((id.clone(), entry.clone())),
            (Fate::Retained, Some(before)) => before.retained = true,
            _ => {}
        }
    }
    if !added.is_empty() {
        entries.extend(added);
    }
    let (built, place, chart) = (before.built.clone(), before.place.clone(), before.chart.clone());
    let settled = Inventory { entries, built, place, chart, ..Inventory::default() };
    let begun = before.begun.clone();
    match extent {
        Extent::Partial => Inventory { begun, ..settled },
        Extent::Written(key) => Inventory { begun, written: Some(key), ..settled },
        Extent::Complete(key) => Inventory { applied: Some(key), ..settled },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ObjectId {
        ObjectId::from_inventory_id(text).unwrap()
    }

    fn entry(uid: &str) -> Entry {
        Entry {
            version: "v1".into(),
            uid: Some(uid.into()),
            hash: Some("h".into()),
            fields: Some("f".into()),
            ..Entry::default()
        }
    }

    fn inventory(entries: &[(&str, Entry)]) -> Inventory {
        Inventory {
            entries: entries.iter().map(|(i, e)| (id(i), e.clone())).collect(),
            applied: Some("x".into()),
            ..Inventory::default()
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let whole = inventory(&[
            ("a_x__ConfigMap", entry("1")),
            ("a_y_apps_Deployment", Entry { version: "v1".into(), ..Entry::default() }),
            ("a_z_batch_Job", Entry { version: "v1".into(), done: true, ..Entry::default() }),
        ]);
        let parts = whole.write_parts(PART_BYTES);
        assert_eq!(
            parts,
            [
                r#"[{"id":"a_x__ConfigMap","ver":"v1","uid":"1","hash":"h","fields":"f"},{"id":"a_y_apps_Deployment","ver":"v1"},{"id":"a_z_batch_Job","ver":"v1","done":true}]"#
            ]
        );
        let mut read = Inventory::default();
        read.read_part(&parts[0]).unwrap();
        assert_eq!(read.entries, whole.entries);
    }

    #[test]
    fn a_name_that_its_id_does_not_read_back_as_is_kept_beside_it() {
        let role = |name: &str| ObjectId {
            namespace: "a".into(),
            name: name.into(),
            group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
        };
        let check = |name: &str, expected: &str| {
            let mut whole = Inventory::default();
            whole.entries.insert(role(name), Entry { version: "v1".into(), ..Entry::default() });
            let parts = whole.write_parts(PART_BYTES);
            assert_eq!(parts, [expected]);
            let mut read = Inventory::default();
            read.read_part(&parts[0]).unwrap();
            assert_eq!(read.entries, whole.entries);
        };
        check("b:c", r#"[{"id":"a_b__c_rbac.authorization.k8s.io_Role","ver":"v1"}]"#);
        check("b__c", r#"[{"id":"a_b__c_rbac.authorization.k8s.io_Role","name":"b__c","ver":"v1"}]"#);
        check("b_:c", r#"[{"id":"a_b___c_rbac.authorization.k8s.io_Role","name":"b_:c","ver":"v1"}]"#);
    }

    #[test]
    fn a_full_part_goes_on_in_the_next() {
        let mut whole = Inventory::default();
        for n in 0..100 {
            whole.entries.insert(id(&format!("a_x{n}__ConfigMap")), entry("1"));
        }
        let parts = whole.write_parts(1000);
        assert!(parts.len() > 5, "{}", parts.len());
        let mut read = Inventory::default();
        for part in &parts {
            assert!(part.len() <= 1000);
            read.read_part(part).unwrap();
        }
        assert_eq!(read.entries, whole.entries);
        assert_eq!(Inventory::default().write_parts(1000), ["[]"]);
    }

    #[test]
    fn kustomizers_entries_are_read_and_broken_ones_named() {
        let mut read = Inventory::default();
        read.read_part(r#"[{"id":"default_cm__ConfigMap","ver":"v1"}]"#).unwrap();
        assert_eq!(read.entries.len(), 1);
        let refused = |text: &str| Inventory::default().read_part(text).unwrap_err().to_string();
        assert_eq!(refused("{"), "the entries are not a valid JSON list");
        assert_eq!(
            refused(r#"[{"id":"nonsense","ver":"v1"}]"#),
            "\"nonsense\" is not an object id of the form namespace_name_group_Kind"
        );
    }

    #[test]
    fn the_write_ahead_adds_what_is_new_and_forgets_nothing() {
        let before = inventory(&[("a_old__ConfigMap", entry("1")), ("a_both__ConfigMap", entry("2"))]);
        let ids = [id("a_both__ConfigMap"), id("a_new__ConfigMap")];
        let union = before.with_expected(ids.iter().map(|i| (i, "v1", false)), false).unwrap();
        assert_eq!(union.entries.len(), 3);
        assert_eq!(union.entries[&ids[0]], entry("2"));
        assert_eq!(union.entries[&ids[1]].uid, None);
        assert_eq!(union.applied, None);
        let anew =
            |puts_back| before.with_expected(std::iter::once((&ids[0], "v1", true)), puts_back).unwrap();
        assert_eq!((anew(true).applied, anew(false).applied), (before.applied.clone(), None));
        assert_eq!(anew(true).entries[&ids[0]].uid, None);
        assert_eq!(before.with_expected(ids[..1].iter().map(|i| (i, "v1", false)), false), None);
    }

    #[test]
    fn what_exists_and_is_left_alone_stays_in_the_inventory_while_it_may_be_the_release_s() {
        let made = Entry { fields: None, ..entry("1") };
        let ahead = Entry { version: "v1".into(), ..Entry::default() };
        let kept = |entry: &Entry| Fate::Applied(entry.clone());
        let check = |whose: Whose, before: Option<&Entry>, live: Option<&str>, expected: Fate| {
            assert_eq!(
                whose.clone().fate(before, live, "v1", "h"),
                expected,
                "{whose:?} {before:?} {live:?}"
            );
        };
        let ours = |uid: &str| Whose::Ours(uid.to_owned());
        check(ours("1"), Some(&entry("1")), Some("1"), kept(&made));
        check(ours("1"), Some(&ahead), None, kept(&made));
        check(ours("1"), None, Some("1"), kept(&made));
        check(ours("1"), Some(&entry("other")), Some("1"), kept(&made));
        let done = Entry { done: true, ..made.clone() };
        check(ours("1"), Some(&done), Some("1"), kept(&done));
        check(ours("1"), Some(&Entry { uid: Some("other".into()), ..done }), Some("1"), kept(&made));
        check(Whose::Theirs, Some(&entry("1")), Some("1"), Fate::Dropped);
        check(Whose::Unknown, Some(&entry("1")), Some("1"), kept(&made));
        check(Whose::Unknown, Some(&ahead), None, kept(&Entry { hash: Some("h".into()), ..ahead.clone() }));
        check(Whose::Unknown, Some(&entry("other")), Some("1"), Fate::Dropped);
        check(Whose::Unknown, None, Some("1"), Fate::Dropped);
    }

    #[test]
    fn what_has_run_to_its_end_is_remembered_of_the_object_that_did() {
        let before = inventory(&[("a_x_batch_Job", entry("1")), ("a_y_batch_Job", entry("2"))]);
        let check = |name: &str, uid: &str, expected: bool| {
            let id = id(&format!("a_{name}_batch_Job"));
            let after = before.with_done(std::iter::once((&id, uid)));
            let done = after.as_ref().is_some_and(|after| after.entries[&id].done);
            assert_eq!((after.is_some(), done), (expected, expected), "{name} {uid}");
            assert!(after.is_none_or(|after| after.applied == before.applied && after.entries.len() == 2));
        };
        check("x", "1", true);
        check("x", "2", false);
        check("z", "1", false);
        let done = Inventory {
            entries: Entries::from_iter([(id("a_x_batch_Job"), Entry { done: true, ..entry("1") })]),
            ..Inventory::default()
        };
        assert_eq!(done.with_done(std::iter::once((&id("a_x_batch_Job"), "1"))), None);
    }

    #[test]
    fn a_run_that_is_cut_off_unseen_leaves_no_complete_result() {
        let settled = inventory(&[("a_x__ConfigMap", entry("1"))]);
        let check = |writes: bool, corrected: bool, expected: bool| {
            let ahead = settled.unsettled(writes, corrected);
            assert_eq!(ahead.is_some(), expected, "{writes} {corrected}");
            assert!(ahead.is_none_or(|a| a.applied.is_none() && a.entries == settled.entries));
        };
        check(true, false, true);
        check(true, true, false);
        check(false, false, false);
        assert_eq!(Inventory { applied: None, ..settled.clone() }.unsettled(true, false), None);
    }

    #[test]
    fn a_rollout_that_has_begun_is_named_until_it_is_complete() {
        let begun = BegunRollout { source: "r.io/a".into(), revision: "1".into(), key: "x".into() };
        let complete = inventory(&[("a_x__ConfigMap", entry("1"))]);
        assert_eq!(complete.clone().with_begun(&begun, None).begun, None);
        let ahead = complete.unsettled(true, false).unwrap().with_begun(&begun, Some("kustomize v5.8.1"));
        let check = |extent: Extent, expected: Option<&BegunRollout>| {
            assert_eq!(settle(&ahead, &BTreeMap::new(), extent).begun.as_ref(), expected);
        };
        check(Extent::Partial, Some(&begun));
        check(Extent::Written("x".into()), Some(&begun));
        check(Extent::Complete("x".into()), None);
        let settled = settle(&ahead, &BTreeMap::new(), Extent::Complete("x".into()));
        assert_eq!(settled.built.as_deref(), Some("kustomize v5.8.1"));
        // The next revision is not built.
        assert_eq!(settled.with_begun(&begun, None).built, None);
    }

    #[test]
    fn an_object_stays_in_the_inventory_until_it_is_confirmed_gone() {
        let before = inventory(&[("a_x__ConfigMap", entry("1"))]);
        let check = |fate: Fate, expected: Option<Entry>| {
            let fates = BTreeMap::from([(id("a_x__ConfigMap"), fate.clone())]);
            let after = settle(&before, &fates, Extent::Partial);
            assert_eq!(after.entries.get(&id("a_x__ConfigMap")).cloned(), expected, "{fate:?}");
        };
        check(Fate::Applied(entry("2")), Some(entry("2")));
        check(Fate::Failed, Some(entry("1")));
        check(Fate::NotAttempted, Some(entry("1")));
        check(Fate::Remains, Some(entry("1")));
        check(Fate::Retained, Some(Entry { retained: true, ..entry("1") }));
        check(Fate::Gone, None);
        check(Fate::Dropped, None);
    }
}
