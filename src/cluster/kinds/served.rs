//! What the API server serves, from its discovery.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, RwLock};

use serde::Deserialize;

use super::resource::Resource;
use crate::cluster::error::ApiError;
use crate::domain::health::Reports;
use crate::domain::identity::{GroupKind, api_version};

/// The served kinds, as last read.
#[derive(Default)]
pub struct DiscoveryCache {
    pub(super) latest: RwLock<Arc<ApiDiscovery>>,
    pub(super) refresh: tokio::sync::Mutex<()>,
}

/// A snapshot of what is served.
#[derive(Default)]
pub struct ApiDiscovery {
    resources: HashMap<GroupKind, Vec<Arc<Resource>>>,
    /// All API versions, and all kinds in them, also those that are no objects.
    versions: BTreeSet<String>,
    /// Groups with a version that gave no answer: their server is unavailable.
    away: HashSet<String>,
}

impl ApiDiscovery {
    /// A kind in a version.
    pub fn resource(&self, kind: &GroupKind, version: &str) -> Option<Arc<Resource>> {
        self.resources.get(kind)?.iter().find(|r| r.version == version).cloned()
    }

    /// A kind in the version that the API server prefers.
    pub fn preferred(&self, kind: &GroupKind) -> Option<Arc<Resource>> {
        self.resources.get(kind)?.first().cloned()
    }

    /// A kind in a version, or in the preferred one where that is not served: for
    /// everything that does not depend on the version.
    pub fn served(&self, kind: &GroupKind, version: &str) -> Option<Arc<Resource>> {
        self.resource(kind, version).or_else(|| self.preferred(kind))
    }

    /// Whether objects of a kind have namespaces.
    pub fn namespaced(&self, kind: &GroupKind) -> Option<bool> {
        self.preferred(kind).map(|r| r.namespaced)
    }

    /// Confirms that a kind is not served, and not only unknown while the server of its
    /// group is unavailable.
    ///
    /// # Errors
    /// When that is not certain.
    pub fn absent(&self, kind: &GroupKind) -> Result<(), ApiError> {
        match self.away.contains(&kind.group) {
            true => Err(ApiError::unreachable(format!(
                "the server of the API group {} is unavailable",
                kind.group
            ))),
            false => Ok(()),
        }
    }

    /// All API versions, and `version/Kind` of all kinds in them, as charts ask for them.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().map(String::as_str)
    }

    /// Every kind whose objects have namespaces, in its preferred version.
    pub fn all_namespaced(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values().filter_map(|versions| versions.first()).filter(|kind| kind.namespaced)
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

#[derive(Deserialize)]
pub(super) struct GroupList {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupMetadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
struct GroupMetadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    /// `Current`, or `Stale` when the server of the group did not answer.
    #[serde(default)]
    freshness: String,
    #[serde(default)]
    resources: Vec<ServedResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServedResource {
    resource: String,
    #[serde(default)]
    response_kind: Option<Kind>,
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    subresources: Vec<Subresource>,
}

#[derive(Deserialize)]
struct Subresource {
    #[serde(default)]
    subresource: String,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    kind: String,
}

impl ApiDiscovery {
    pub(super) fn add(&mut self, list: GroupList) {
        for group in list.items {
            for version in group.versions {
                if version.freshness == "Stale" {
                    self.away.insert(group.metadata.name.clone());
                }
                let named = api_version(&group.metadata.name, &version.version);
                self.versions.insert(named.clone());
                for resource in version.resources {
                    // A resource without its own kind has an unavailable API server; one
                    // that cannot be patched is not an object.
                    let Some(kind) = resource.response_kind else { continue };
                    self.versions.insert(format!("{named}/{}", kind.kind));
                    if !resource.verbs.iter().any(|v| v == "patch") {
                        continue;
                    }
                    let served = Resource {
                        group: group.metadata.name.clone(),
                        version: version.version.clone(),
                        kind: kind.kind,
                        plural: resource.resource,
                        namespaced: resource.scope == "Namespaced",
                        reports: match resource.subresources.iter().any(|s| s.subresource == "status") {
                            true => Reports::Yes,
                            false => Reports::No,
                        },
                    };
                    debug_assert!(kind.group.is_empty() || kind.group == served.group);
                    self.resources.entry(served.group_kind()).or_default().push(Arc::new(served));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregated_discovery_is_read() {
        let text = r#"{"items":[{"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[
            {"resource":"deployments","responseKind":{"group":"apps","kind":"Deployment"},"scope":"Namespaced","verbs":["get","patch"],
             "subresources":[{"subresource":"scale"},{"subresource":"status"}]},
            {"resource":"notes","responseKind":{"group":"apps","kind":"Note"},"scope":"Namespaced","verbs":["get","patch"]},
            {"resource":"ghosts","scope":"Cluster","verbs":["get"]}]}]},
            {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1","freshness":"Stale"}]}]}"#;
        let mut discovery = ApiDiscovery::default();
        discovery.add(serde_json::from_str(text).unwrap());
        let kind = GroupKind::new("apps", "Deployment");
        assert_eq!(discovery.resource(&kind, "v1").unwrap().api_version(), "apps/v1");
        assert_eq!(discovery.resource(&kind, "v1").unwrap().reports, Reports::Yes);
        assert_eq!(discovery.resource(&GroupKind::new("apps", "Note"), "v1").unwrap().reports, Reports::No);
        let versions: Vec<&str> = discovery.versions().collect();
        assert_eq!(versions, ["apps/v1", "apps/v1/Deployment", "apps/v1/Note", "metrics.k8s.io/v1"]);
        assert_eq!(discovery.namespaced(&kind), Some(true));
        assert!(discovery.resource(&kind, "v2").is_none());
        assert!(discovery.absent(&GroupKind::new("apps", "Ghost")).is_ok());
        let error = discovery.absent(&GroupKind::new("metrics.k8s.io", "PodMetrics")).unwrap_err();
        assert!(error.is_transient());
    }
}
