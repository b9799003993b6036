//! Which kinds the API server serves, and under which paths.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

use super::error::ApiError;
use super::session::{Call, Session};
use crate::domain::identity::{GroupKind, ObjectId};

/// The aggregated form (KEP-3352, stable since Kubernetes 1.30): two requests
/// for all groups.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// A kind that is served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// API group, empty for core.
    pub group: String,
    /// API version without group.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural name, as in paths.
    pub plural: String,
    /// Whether its objects have namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// `group/version`, or the version alone.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The path of the collection, in a namespace or over all.
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let root = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        match namespace.filter(|n| !n.is_empty() && self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{}", escape(namespace), self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// The path of an object.
    pub fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.collection(Some(namespace)), escape(name))
    }

    /// The identity of an object of this kind.
    pub fn id(&self, namespace: &str, name: &str) -> ObjectId {
        ObjectId {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            group: self.group.clone(),
            kind: self.kind.clone(),
        }
    }

    /// Group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(&self.group, &self.kind)
    }
}

/// Names come from artifacts: nothing in them may change the path or query.
pub(super) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    // A lone dot segment would be resolved away on the way.
    match escaped.as_str() {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => escaped,
    }
}

/// What is served, as of the last look.
#[derive(Default)]
pub struct Discovery {
    known: RwLock<Arc<Known>>,
    refresh: tokio::sync::Mutex<()>,
}

/// A snapshot of what is served.
#[derive(Default)]
pub struct Known {
    resources: HashMap<GroupKind, Vec<Arc<Resource>>>,
    /// Groups of which some version could not be asked: their server is away.
    away: HashSet<String>,
}

impl Known {
    /// A kind in a version.
    pub fn resource(&self, kind: &GroupKind, version: &str) -> Option<Arc<Resource>> {
        self.resources.get(kind)?.iter().find(|r| r.version == version).cloned()
    }

    /// A kind in the version that the API server prefers.
    pub fn preferred(&self, kind: &GroupKind) -> Option<Arc<Resource>> {
        self.resources.get(kind)?.first().cloned()
    }

    /// A kind in a version, or in the preferred one where that is not served: good
    /// for all that does not depend on the version.
    pub fn served(&self, kind: &GroupKind, version: &str) -> Option<Arc<Resource>> {
        self.resource(kind, version).or_else(|| self.preferred(kind))
    }

    /// Whether objects of a kind have namespaces.
    pub fn namespaced(&self, kind: &GroupKind) -> Option<bool> {
        self.preferred(kind).map(|r| r.namespaced)
    }

    /// Says that a kind is not served, and not only unknown while the server of
    /// its group is away.
    ///
    /// # Errors
    /// When that is not certain.
    pub fn absent(&self, kind: &GroupKind) -> Result<(), ApiError> {
        match self.away.contains(&kind.group) {
            true => Err(ApiError::unreachable(format!("the server of the API group {} is away", kind.group))),
            false => Ok(()),
        }
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

#[derive(Deserialize)]
struct GroupList {
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
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    kind: String,
}

impl Session {
    /// What is served, as of the last look; looks when nothing is known yet.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn known(&self) -> Result<Arc<Known>, ApiError> {
        let known = self.snapshot();
        if known.is_empty() { self.rediscover(&known).await } else { Ok(known) }
    }

    pub(super) fn snapshot(&self) -> Arc<Known> {
        Arc::clone(&self.shared.discovery.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is served, with a new look when the last one did not show one of the
    /// kinds: its definition may have been installed since.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn known_of(&self, kinds: impl Iterator<Item = GroupKind>) -> Result<Arc<Known>, ApiError> {
        self.known_where(kinds, |known, kind| known.preferred(kind).is_some()).await
    }

    /// The same for kinds in certain versions: a known kind may have got a new one
    /// since.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn known_in(
        &self,
        kinds: impl Iterator<Item = (GroupKind, String)>,
    ) -> Result<Arc<Known>, ApiError> {
        self.known_where(kinds, |known, (kind, version)| known.resource(kind, version).is_some()).await
    }

    async fn known_where<T>(
        &self,
        mut wanted: impl Iterator<Item = T>,
        is_known: impl Fn(&Known, &T) -> bool,
    ) -> Result<Arc<Known>, ApiError> {
        let known = self.known().await?;
        match wanted.all(|one| is_known(&known, &one)) {
            true => Ok(known),
            false => self.rediscover(&known).await,
        }
    }

    /// Looks again, because `stale` did not know something. Many callers at
    /// once look once.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn rediscover(&self, stale: &Arc<Known>) -> Result<Arc<Known>, ApiError> {
        let _one = self.shared.discovery.refresh.lock().await;
        let current = self.snapshot();
        if !Arc::ptr_eq(&current, stale) {
            return Ok(current);
        }
        let session = self.as_process();
        let mut known = Known::default();
        for root in ["/api", "/apis"] {
            let answer = session.call(Call { accept: ACCEPT, ..Call::get(root) }).await?;
            known.add(answer.json()?);
        }
        let known = Arc::new(known);
        *self.shared.discovery.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&known);
        Ok(known)
    }
}

impl Known {
    fn add(&mut self, list: GroupList) {
        for group in list.items {
            for version in group.versions {
                if version.freshness == "Stale" {
                    self.away.insert(group.metadata.name.clone());
                }
                for resource in version.resources {
                    // A resource without a kind of its own is one whose API
                    // server is away; one that cannot be patched is no object.
                    let Some(kind) = resource.response_kind else { continue };
                    if !resource.verbs.iter().any(|v| v == "patch") {
                        continue;
                    }
                    let served = Resource {
                        group: group.metadata.name.clone(),
                        version: version.version.clone(),
                        kind: kind.kind,
                        plural: resource.resource,
                        namespaced: resource.scope == "Namespaced",
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
    fn paths_cannot_be_changed_by_names() {
        let resource = Resource {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            plural: "deployments".into(),
            namespaced: true,
        };
        let check = |namespace: &str, name: &str, expected: &str| {
            assert_eq!(resource.object(namespace, name), expected);
        };
        check("a", "web", "/apis/apps/v1/namespaces/a/deployments/web");
        check("a", "../secrets/x", "/apis/apps/v1/namespaces/a/deployments/..%2Fsecrets%2Fx");
        check("..", "web", "/apis/apps/v1/namespaces/%2E%2E/deployments/web");
        check("a", "web?dryRun=All", "/apis/apps/v1/namespaces/a/deployments/web%3FdryRun%3DAll");
        check("a", "system:x", "/apis/apps/v1/namespaces/a/deployments/system:x");
    }

    #[test]
    fn aggregated_discovery_is_read() {
        let text = r#"{"items":[{"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[
            {"resource":"deployments","responseKind":{"group":"apps","kind":"Deployment"},"scope":"Namespaced","verbs":["get","patch"]},
            {"resource":"ghosts","scope":"Cluster","verbs":["get"]}]}]},
            {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1","freshness":"Stale"}]}]}"#;
        let mut known = Known::default();
        known.add(serde_json::from_str(text).unwrap());
        let kind = GroupKind::new("apps", "Deployment");
        assert_eq!(known.resource(&kind, "v1").unwrap().api_version(), "apps/v1");
        assert_eq!(known.namespaced(&kind), Some(true));
        assert!(known.resource(&kind, "v2").is_none());
        assert!(known.absent(&GroupKind::new("apps", "Ghost")).is_ok());
        let error = known.absent(&GroupKind::new("metrics.k8s.io", "PodMetrics")).unwrap_err();
        assert!(error.is_transient());
    }
}
