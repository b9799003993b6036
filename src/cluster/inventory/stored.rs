//! An inventory as ConfigMaps: one, or several parts when it is full.

use std::sync::Arc;

use super::config_map::{
    APPLIED, BEGUN, BUILT, CHART, CLUSTER, CREATED_BY, ConfigMap, ENTRIES, Part, SEQUENCE, WRITER, WRITTEN,
    is_part_of, parts_of, provenance_of, sequence_of, text_of,
};
use super::error::StoreError;
use super::room::Taken;
use crate::api::keys;
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::{Inventory, Provenance};
use crate::domain::manifest::chart::ChartRecord;

/// The longest name of a program that has built objects, in bytes.
const MAX_BUILT: usize = 256;

/// An inventory as it was last read or written.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Its content. Shared, because a release keeps it for its whole life, and others
    /// read it.
    pub inventory: Arc<Inventory>,
    /// Whether our finalizer is on it: the operator has written it, or the command line
    /// is about to delete its objects.
    pub operators: bool,
    /// The source of its objects.
    pub provenance: Provenance,
    /// The tool that wrote it, as its labels say; empty when there is none.
    pub writer: String,
    /// Whether it was deleted while the finalizer held it.
    pub deleting: bool,
    pub(super) parts: Vec<Part>,
    pub(super) sequence: u64,
    /// The entries of each part, when they do not come from one complete write.
    pub(super) scattered: Vec<Inventory>,
    /// Its share of the memory for inventories.
    pub taken: Arc<Taken>,
}

impl Stored {
    /// Whether it exists in the cluster.
    pub fn exists(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether it exists with all its known parts: one that lost its last parts and the
    /// first does not list them.
    pub fn is_whole(&self) -> bool {
        self.exists() && self.parts.iter().all(|part| !part.version.is_empty())
    }

    /// Whether it exists and was not written by another tool, whose inventories have the
    /// same names. One whose labels were removed is still ours.
    pub fn is_ours(&self) -> bool {
        self.exists() && (self.writer.is_empty() || self.writer == WRITER)
    }

    /// Whether it is unchanged since: the same entries, and only metadata of the API
    /// server can differ.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.sequence == other.sequence && self.inventory == other.inventory
    }

    fn add(&mut self, release: &ReleaseId, part: &ConfigMap) -> Result<(), StoreError> {
        let inventory = Arc::make_mut(&mut self.inventory);
        let read = inventory.read_part(text_of(part)).and_then(|()| match part.data.get(CLUSTER) {
            Some(place) => inventory.read_place(place),
            None => Ok(()),
        });
        read.map_err(|source| StoreError::Broken {
            name: format!("{}/{}", release.namespace, part.metadata.name),
            source,
        })?;
        self.parts.push(Part::of(part));
        Ok(())
    }

    /// From the parts after a first part that was removed. They are not a complete
    /// result, and the next write creates the first part again.
    pub(super) fn assemble_headless(
        release: &ReleaseId,
        rest: &[Option<&ConfigMap>],
    ) -> Result<Self, StoreError> {
        let mut stored = Self::default();
        // The inventory of another release, from another tool, can have such a name.
        if !rest.iter().flatten().all(|part| is_part_of(release, part)) {
            return Ok(stored);
        }
        for part in rest.iter().flatten() {
            stored.operators |= part.metadata.finalizers.iter().any(|f| f == keys::FINALIZER);
            stored.sequence = stored.sequence.max(sequence_of(part));
            stored.writer = WRITER.to_owned();
        }
        if stored.writer.is_empty() {
            return Ok(stored);
        }
        stored.parts.push(Part::default());
        stored.scattered.push(Inventory::default());
        for part in rest {
            stored.add_scattered(release, *part)?;
        }
        Ok(stored)
    }

    fn add_scattered(&mut self, release: &ReleaseId, part: Option<&ConfigMap>) -> Result<(), StoreError> {
        let mut named = Inventory::default();
        match part {
            Some(part) => {
                self.add(release, part)?;
                // It was just read.
                let _ = named.read_part(text_of(part));
            }
            // It was removed; the next write creates it again.
            None => self.parts.push(Part::default()),
        }
        self.scattered.push(named);
        Ok(())
    }

    /// From the first part and those after it, in order. Parts that the first does not
    /// list exist when a writer was interrupted before it wrote the first, or before it
    /// removed them. Their entries count too: objects that do not exist are found to be
    /// deleted, and then the part is removed.
    pub(super) fn assemble(
        release: &ReleaseId,
        first: &ConfigMap,
        rest: &[Option<&ConfigMap>],
    ) -> Result<Self, StoreError> {
        let listed = parts_of(first) - 1;
        let mut stored = Self {
            operators: first.metadata.finalizers.iter().any(|f| f == keys::FINALIZER),
            deleting: first.metadata.deletion_timestamp.is_some(),
            sequence: sequence_of(first),
            provenance: provenance_of(first),
            writer: first.metadata.labels.get(CREATED_BY).cloned().unwrap_or_default(),
            ..Self::default()
        };
        stored.add_scattered(release, Some(first))?;
        let mut whole = true;
        for (n, part) in rest.iter().enumerate() {
            // A part of another sequence was being rewritten when its writer was
            // interrupted: its entries count, its applied revision does not.
            let same = part.is_some_and(|part| part.data.get(SEQUENCE) == first.data.get(SEQUENCE));
            whole &= n < listed && same;
            stored.add_scattered(release, *part)?;
        }
        if whole {
            stored.scattered = Vec::new();
        }
        // Entries were removed by hand, or it was set to [] as the message about a broken
        // one says: not a complete result either.
        let entries = stored.inventory.entries.len();
        whole &= first.data.get(ENTRIES).is_none_or(|n| n.parse() == Ok(entries));
        let key = |name: &str| first.data.get(name).filter(|key| whole && !key.is_empty()).cloned();
        let inventory = Arc::make_mut(&mut stored.inventory);
        (inventory.applied, inventory.written) = (key(APPLIED), key(WRITTEN));
        inventory.written.take_if(|_| inventory.applied.is_some());
        let begun = first.data.get(BEGUN).filter(|_| inventory.applied.is_none());
        inventory.built = first.data.get(BUILT).filter(|built| built.len() <= MAX_BUILT).cloned();
        inventory.begun = begun.and_then(|begun| serde_json::from_str(begun).ok());
        inventory.chart = first.data.get(CHART).and_then(|text| ChartRecord::read(text)).map(Arc::new);
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config_map::{NAME, part};
    use super::*;

    #[test]
    fn the_program_that_has_built_the_objects_is_read_if_it_is_one() {
        let release = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let check = |built: &str, expected: Option<&str>| {
            let first = part("inv-web", "1", &[("resources", "[]"), ("built", built)]);
            let stored = Stored::assemble(&release, &first, &[]).unwrap();
            assert_eq!(stored.inventory.built.as_deref(), expected);
        };
        check("kustomize v5.8.1", Some("kustomize v5.8.1"));
        check(&"x".repeat(MAX_BUILT + 1), None);
    }

    #[test]
    fn parts_that_a_cut_off_writer_left_count_until_they_are_removed() {
        let release = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let entry = |name: &str| format!(r#"[{{"id":"apps_{name}__ConfigMap","ver":"v1"}}]"#);
        let (a, b) = (entry("a"), entry("b"));
        let check = |parts: &str, second: Option<&str>, expected: (usize, &[&str], Option<&str>)| {
            let first = part("inv-web", "1", &[("parts", parts), ("resources", &a), ("applied", "key")]);
            let second = second.map(|version| part("inv-web.2", version, &[("resources", &b)]));
            let rest: Vec<Option<&ConfigMap>> =
                if parts == "1" && second.is_none() { Vec::new() } else { vec![second.as_ref()] };
            let stored = Stored::assemble(&release, &first, &rest).unwrap();
            let versions: Vec<&str> = stored.parts.iter().map(|p| p.version.as_str()).collect();
            let (entries, expected_versions, applied) = expected;
            assert_eq!(stored.inventory.entries.len(), entries);
            assert_eq!(versions, expected_versions);
            assert_eq!(stored.inventory.applied.as_deref(), applied);
        };
        check("1", None, (1, &["1"], Some("key")));
        check("2", Some("2"), (2, &["1", "2"], Some("key")));
        check("1", Some("2"), (2, &["1", "2"], None));
        check("2", None, (1, &["1", ""], None));
    }

    #[test]
    fn parts_without_their_first_count_when_they_are_the_release_s() {
        let release = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let check = |labels: &[(&str, &str)], expected: &[&str]| {
            let resources = r#"[{"id":"apps_b__ConfigMap","ver":"v1"}]"#;
            let mut second = part("inv-web.2", "2", &[("resources", resources), ("sequence", "7")]);
            second.metadata.labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let stored = Stored::assemble_headless(&release, &[Some(&second)]).unwrap();
            let versions: Vec<&str> = stored.parts.iter().map(|p| p.version.as_str()).collect();
            assert_eq!(versions, expected, "{labels:?}");
            assert_eq!(stored.inventory.entries.len(), usize::from(!expected.is_empty()), "{labels:?}");
            assert_eq!(stored.inventory.applied, None);
            assert!(!stored.is_whole());
            assert_eq!(stored.sequence, if expected.is_empty() { 0 } else { 7 });
        };
        check(&[(CREATED_BY, WRITER), (NAME, "web")], &["", "2"]);
        check(&[(CREATED_BY, WRITER), (NAME, "web.2")], &[]);
        check(&[(CREATED_BY, "kustomizer"), (NAME, "web")], &[]);
        check(&[], &[]);
        assert!(!Stored::assemble_headless(&release, &[]).unwrap().exists());
    }

    #[test]
    fn an_inventory_whose_list_was_edited_is_no_complete_result() {
        let release = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let resources = r#"[{"id":"apps_a__ConfigMap","ver":"v1"}]"#;
        let check = |entries: Option<&str>, resources: &str, expected: Option<&str>| {
            let mut data = vec![("parts", "1"), ("resources", resources), ("applied", "key")];
            data.extend(entries.map(|n| ("entries", n)));
            let stored = Stored::assemble(&release, &part("inv-web", "1", &data), &[]).unwrap();
            assert_eq!(stored.inventory.applied.as_deref(), expected, "{entries:?} {resources}");
            data.iter_mut().filter(|(key, _)| *key == "applied").for_each(|(key, _)| *key = "written");
            let stored = Stored::assemble(&release, &part("inv-web", "1", &data), &[]).unwrap();
            assert_eq!((stored.inventory.applied.as_deref(), stored.inventory.whole()), (None, expected));
        };
        check(Some("1"), resources, Some("key"));
        check(Some("0"), "[]", Some("key"));
        check(Some("1"), "[]", None);
        check(Some("2"), resources, None);
        // Written by a version without a number.
        check(None, resources, Some("key"));
    }
}
