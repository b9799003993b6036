//! An inventory as ConfigMaps: one, or several parts when it is full.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::room::Taken;
use crate::api::keys;
use crate::cluster::error::ApiError;
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::{Inventory, InventoryError, MAX_PARTS, Provenance};
use crate::domain::status::inventory_name;

/// The label that names who wrote an inventory, and its value for us.
const CREATED_BY: &str = "app.kubernetes.io/created-by";
/// The label that names whose inventory it is.
const NAME: &str = "app.kubernetes.io/name";
pub(super) const WRITER: &str = "supercargo";
pub(super) const RESOURCES: &str = "resources";
pub(super) const PARTS: &str = "parts";
pub(super) const SEQUENCE: &str = "sequence";
pub(super) const ENTRIES: &str = "entries";
pub(super) const APPLIED: &str = "applied";
pub(super) const WRITTEN: &str = "written";
pub(super) const ARTIFACTS: &str = "artifacts";

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server.
    #[error("the inventory {name} cannot be {verb}")]
    Api {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// What was tried.
        verb: &'static str,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// It was changed by somebody else since it was read.
    #[error("the inventory {name} was changed meanwhile")]
    Changed {
        /// `namespace/name` of the ConfigMap.
        name: String,
    },
    /// It comes to more than one inventory may.
    #[error(
        "the inventory {name} comes to more than {most} MiB, all that one may have beside the others: delete the \
         ConfigMaps of it that the operator has not written, or give the operator more memory"
    )]
    TooLong {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// In MiB.
        most: u64,
    },
    /// The inventories of its namespace take all the memory that they may.
    #[error(
        "the inventory {name} is not read, because those of its namespace are too large together: delete the \
         ConfigMaps of them that the operator has not written, or give the operator more memory"
    )]
    NoRoom {
        /// `namespace/name` of the ConfigMap.
        name: String,
    },
    /// Its text is broken.
    #[error(
        "the inventory {name} is broken: restore its data.{RESOURCES}, or set it to [] to give up what it named"
    )]
    Broken {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// How.
        #[source]
        source: InventoryError,
    },
}

/// An inventory as it was last read or written.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// What it says. Shared, because a release remembers it for as long as it
    /// lives, and others look at it.
    pub inventory: Arc<Inventory>,
    /// Whether our finalizer holds it: the operator has written it, or the
    /// command line is about to delete what it names.
    pub operators: bool,
    /// Where its objects come from.
    pub provenance: Provenance,
    /// The tool that wrote it, as its labels say; empty when there is none.
    pub writer: String,
    /// Whether somebody deleted it while the finalizer held it.
    pub deleting: bool,
    pub(super) parts: Vec<Part>,
    pub(super) sequence: u64,
    /// What each part names, when they are not as a complete write leaves them.
    pub(super) scattered: Vec<Inventory>,
    /// What it takes of the memory for inventories.
    pub taken: Arc<Taken>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) version: String,
    pub(super) uid: String,
    pub(super) finalizers: Vec<String>,
}

impl Part {
    pub(super) fn of(part: &ConfigMap) -> Self {
        Self {
            version: part.metadata.resource_version.clone(),
            uid: part.metadata.uid.clone(),
            finalizers: part.metadata.finalizers.clone(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ConfigMap {
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) data: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) resource_version: String,
    pub(super) uid: String,
    pub(super) finalizers: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
}

pub(super) fn part_name(release: &str, part: usize) -> String {
    let first = inventory_name(release);
    if part == 0 { first } else { format!("{first}.{}", part + 1) }
}

pub(super) fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

impl Stored {
    /// Whether there is one in the cluster.
    pub fn exists(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether it is there with all its parts, as far as is known: one that lost its
    /// last parts and the first does not know of them.
    pub fn is_whole(&self) -> bool {
        self.exists() && self.parts.iter().all(|part| !part.version.is_empty())
    }

    /// Whether it is there and was not written by another tool, whose inventories
    /// have the same names. One whose labels somebody took off is still ours.
    pub fn is_ours(&self) -> bool {
        self.exists() && (self.writer.is_empty() || self.writer == WRITER)
    }

    /// Whether nobody has written it since: it names the same, and only what the
    /// API server keeps about it may differ.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.sequence == other.sequence && self.inventory == other.inventory
    }

    fn add(&mut self, release: &ReleaseId, part: &ConfigMap) -> Result<(), StoreError> {
        Arc::make_mut(&mut self.inventory).read_part(text_of(part)).map_err(|source| StoreError::Broken {
            name: format!("{}/{}", release.namespace, part.metadata.name),
            source,
        })?;
        self.parts.push(Part::of(part));
        Ok(())
    }

    /// From the parts after a first one that somebody has removed. They are nobody's
    /// complete result, and the next write makes the first anew.
    pub(super) fn assemble_headless(
        release: &ReleaseId,
        rest: &[Option<&ConfigMap>],
    ) -> Result<Self, StoreError> {
        let mut stored = Self::default();
        // Another release's inventory, of another tool, may have such a name.
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
                // It has just been read.
                let _ = named.read_part(text_of(part));
            }
            // Somebody has removed it; the next write makes it anew.
            None => self.parts.push(Part::default()),
        }
        self.scattered.push(named);
        Ok(())
    }

    /// From the first part and those after it, in order. Those that the first
    /// does not list are there when a writer was cut off before it wrote the
    /// first, or before it removed them. What they name counts all the same: what
    /// does not exist is found to be gone, and then the part is removed.
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
            // A part of another sequence was being rewritten when its writer
            // was cut off: what it names counts, what was applied does not.
            let same = part.is_some_and(|part| part.data.get(SEQUENCE) == first.data.get(SEQUENCE));
            whole &= n < listed && same;
            stored.add_scattered(release, *part)?;
        }
        if whole {
            stored.scattered = Vec::new();
        }
        // Somebody has taken entries out, or has set it to [] as the message about a
        // broken one says: nobody's complete result either.
        let entries = stored.inventory.entries.len();
        whole &= first.data.get(ENTRIES).is_none_or(|n| n.parse() == Ok(entries));
        let key = |name: &str| first.data.get(name).filter(|key| whole && !key.is_empty()).cloned();
        let inventory = Arc::make_mut(&mut stored.inventory);
        (inventory.applied, inventory.written) = (key(APPLIED), key(WRITTEN));
        inventory.written.take_if(|_| inventory.applied.is_some());
        Ok(stored)
    }
}

fn provenance_of(first: &ConfigMap) -> Provenance {
    let note = |key: &str| first.metadata.annotations.get(key).cloned().unwrap_or_default();
    Provenance {
        source: note(keys::SOURCE),
        revision: note(keys::REVISION),
        artifacts: first.data.get(ARTIFACTS).and_then(|a| serde_json::from_str(a).ok()).unwrap_or_default(),
        applied_at: note(keys::LAST_APPLIED_TIME),
        adopting: note(keys::ADOPTING),
    }
}

fn text_of(part: &ConfigMap) -> &str {
    part.data.get(RESOURCES).map_or("[]", String::as_str)
}

fn sequence_of(part: &ConfigMap) -> u64 {
    part.data.get(SEQUENCE).and_then(|s| s.parse().ok()).unwrap_or_default()
}

/// Whether a ConfigMap with the name of a part is the inventory of another name:
/// `inv-web.2` is the second part of `web`, or the first of `web.2`.
pub(super) fn is_of_another(release: &ReleaseId, part: &ConfigMap) -> bool {
    part.metadata.labels.get(NAME).is_some_and(|name| *name != release.name)
}

/// Whose inventory a ConfigMap is a part of, and which number its name ends with, if
/// one; of the name without `inv-`.
pub(super) fn named<'m>(name: &'m str, map: &'m ConfigMap) -> (&'m str, &'m str) {
    if map.metadata.labels.get(NAME).is_some_and(|whole| whole == name) {
        return (name, "");
    }
    let is_number = |text: &str| text.parse::<usize>().is_ok_and(|n| (2..=MAX_PARTS + 1).contains(&n));
    name.rsplit_once('.').filter(|(_, number)| is_number(number)).unwrap_or((name, ""))
}

/// Whether a part without its first one is the release's: our writer labels each.
fn is_part_of(release: &ReleaseId, part: &ConfigMap) -> bool {
    let label = |key: &str| part.metadata.labels.get(key).map(String::as_str);
    label(CREATED_BY) == Some(WRITER) && label(NAME) == Some(&release.name)
}

pub(super) fn parts_of(first: &ConfigMap) -> usize {
    first.data.get(PARTS).and_then(|p| p.parse().ok()).unwrap_or(1).clamp(1, MAX_PARTS)
}

impl StoreError {
    /// Whether it cannot be written because its namespace does not exist.
    pub fn lacks_namespace(&self) -> bool {
        matches!(self, Self::Api { source, .. } if source.is_not_found())
    }

    /// The reason for conditions.
    pub fn reason(&self) -> crate::api::reason::Reason {
        use crate::api::reason::Reason;
        match self {
            Self::Api { source, .. } => match source.reason() {
                Reason::PreflightFailed => Reason::InventoryInvalid,
                other => other,
            },
            Self::Changed { .. } => Reason::ApiServerUnavailable,
            Self::Broken { .. } => Reason::InventoryInvalid,
            Self::TooLong { .. } | Self::NoRoom { .. } => Reason::ArtifactTooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, version: &str, data: &[(&str, &str)]) -> ConfigMap {
        let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let metadata =
            Metadata { name: name.into(), resource_version: version.into(), ..Metadata::default() };
        ConfigMap { metadata, data }
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
    fn a_name_with_dots_is_told_from_a_part() {
        let check = |name: &str, label: Option<&str>, expected: (&str, &str)| {
            let mut map = part(&format!("inv-{name}"), "1", &[]);
            map.metadata.labels.extend(label.map(|label| (NAME.to_owned(), label.to_owned())));
            assert_eq!(named(name, &map), expected, "{name} {label:?}");
            let release = ReleaseId { namespace: "apps".into(), name: expected.0.into() };
            assert!(!is_of_another(&release, &map), "{name} {label:?}");
        };
        check("web", Some("web"), ("web", ""));
        check("web.2", Some("web"), ("web", "2"));
        check("web.2", Some("web.2"), ("web.2", ""));
        check("web.2", None, ("web", "2"));
        check("web.1", None, ("web.1", ""));
        check("app.example.com", Some("app.example.com"), ("app.example.com", ""));
        check("app.example.com.3", Some("app.example.com"), ("app.example.com", "3"));
        let release = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let mut other = part("inv-web.2", "1", &[]);
        other.metadata.labels.insert(NAME.into(), "web.2".into());
        assert!(is_of_another(&release, &other));
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
        // Written before there was a number.
        check(None, resources, Some("key"));
    }
}
