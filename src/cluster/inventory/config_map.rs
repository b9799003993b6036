//! The ConfigMaps that store inventories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::keys;
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::{MAX_PARTS, Provenance};
use crate::domain::status::inventory_name;

/// The label with the tool that wrote an inventory, and our value of it.
pub(super) const CREATED_BY: &str = "app.kubernetes.io/created-by";
/// The label with the release that an inventory belongs to.
pub(super) const NAME: &str = "app.kubernetes.io/name";
pub(super) const WRITER: &str = "supercargo";
pub(super) const RESOURCES: &str = "resources";
pub(super) const PARTS: &str = "parts";
pub(super) const SEQUENCE: &str = "sequence";
pub(super) const ENTRIES: &str = "entries";
pub(super) const APPLIED: &str = "applied";
pub(super) const WRITTEN: &str = "written";
pub(super) const BEGUN: &str = "begun";
pub(super) const BUILT: &str = "built";
/// What the chart was rendered for.
pub(super) const CHART: &str = "chart";
pub(super) const CLUSTER: &str = "cluster";
pub(super) const ARTIFACTS: &str = "artifacts";

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
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) deletion_timestamp: Option<String>,
}

pub(super) fn part_name(release: &str, part: usize) -> String {
    let first = inventory_name(release);
    if part == 0 { first } else { format!("{first}.{}", part + 1) }
}

pub(super) fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

pub(super) fn provenance_of(first: &ConfigMap) -> Provenance {
    let note = |key: &str| first.metadata.annotations.get(key).cloned().unwrap_or_default();
    Provenance {
        source: note(keys::SOURCE),
        revision: note(keys::REVISION),
        artifacts: first.data.get(ARTIFACTS).and_then(|a| serde_json::from_str(a).ok()).unwrap_or_default(),
        applied_at: note(keys::LAST_APPLIED_TIME),
        adopting: note(keys::ADOPTING),
    }
}

pub(super) fn text_of(part: &ConfigMap) -> &str {
    part.data.get(RESOURCES).map_or("[]", String::as_str)
}

pub(super) fn sequence_of(part: &ConfigMap) -> u64 {
    part.data.get(SEQUENCE).and_then(|s| s.parse().ok()).unwrap_or_default()
}

/// Whether a ConfigMap with the name of a part is the inventory of another name:
/// `inv-web.2` is the second part of `web`, or the first of `web.2`.
pub(super) fn is_of_another(release: &ReleaseId, part: &ConfigMap) -> bool {
    part.metadata.labels.get(NAME).is_some_and(|name| *name != release.name)
}

/// The release whose inventory a ConfigMap is a part of, and the number at the end of its
/// name, if any; from the name without `inv-`.
pub(super) fn named<'m>(name: &'m str, map: &'m ConfigMap) -> (&'m str, &'m str) {
    if map.metadata.labels.get(NAME).is_some_and(|whole| whole == name) {
        return (name, "");
    }
    let is_number = |text: &str| text.parse::<usize>().is_ok_and(|n| (2..=MAX_PARTS + 1).contains(&n));
    name.rsplit_once('.').filter(|(_, number)| is_number(number)).unwrap_or((name, ""))
}

/// Whether a part without its first one is the release's: our writer labels each.
pub(super) fn is_part_of(release: &ReleaseId, part: &ConfigMap) -> bool {
    let label = |key: &str| part.metadata.labels.get(key).map(String::as_str);
    label(CREATED_BY) == Some(WRITER) && label(NAME) == Some(&release.name)
}

pub(super) fn parts_of(first: &ConfigMap) -> usize {
    first.data.get(PARTS).and_then(|p| p.parse().ok()).unwrap_or(1).clamp(1, MAX_PARTS)
}

/// A part with a name, a version and data.
#[cfg(test)]
pub(super) fn part(name: &str, version: &str, data: &[(&str, &str)]) -> ConfigMap {
    let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let metadata = Metadata { name: name.into(), resource_version: version.into(), ..Metadata::default() };
    ConfigMap { metadata, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_dots_differs_from_a_part() {
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
}
