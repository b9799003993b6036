//! Names of things in the cluster: kinds, objects and releases.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// API group and kind. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    /// API group, empty for core.
    pub group: String,
    /// Kind.
    pub kind: String,
}

impl GroupKind {
    /// A group and kind by its parts.
    pub fn new(group: &str, kind: &str) -> Self {
        Self { group: group.to_owned(), kind: kind.to_owned() }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// `group/version`, or the version alone for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// The group of an `apiVersion`; empty for the core group.
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The groups of the kinds that every API server has, for objects that users write.
const BUILT_IN: [&str; 22] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Whether every API server serves the kinds of a group. Those of all other groups are
/// custom resources.
pub fn is_built_in(group: &str) -> bool {
    BUILT_IN.contains(&group)
}

/// One object of the cluster. The API version is left out on purpose: the same
/// object is served under several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// API group, empty for core.
    pub group: String,
    /// Kind.
    pub kind: String,
}

impl ObjectId {
    /// The group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }

    /// Whether this is the given kind.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// The inventory form `<namespace>_<name>_<group>_<Kind>`, as cli-utils,
    /// Kustomizer and Flux write it. A `:` in an RBAC name is written `__`.
    pub fn to_inventory_id(&self) -> String {
        let name = match self.is_rbac() {
            true => Cow::Owned(self.name.replace(':', "__")),
            false => Cow::Borrowed(self.name.as_str()),
        };
        format!("{}_{name}_{}_{}", self.namespace, self.group, self.kind)
    }

    /// Reads the inventory form. It is parsed from both ends, because the name in the
    /// middle may contain underscores; `None` when it is invalid. In an RBAC name `__`
    /// is read as `:`, see [`ObjectId::readings`].
    pub fn from_inventory_id(id: &str) -> Option<Self> {
        let mut object = Self::literally(id)?;
        if object.is_rbac() {
            object.name = object.name.replace("__", ":");
        }
        Some(object)
    }

    fn literally(id: &str) -> Option<Self> {
        let (namespace, rest) = id.split_once('_')?;
        let (rest, kind) = rest.rsplit_once('_')?;
        let (name, group) = rest.rsplit_once('_')?;
        if name.is_empty() || kind.is_empty() {
            return None;
        }
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
        })
    }

    /// Every object that the inventory form of this one can mean, this one first: an
    /// RBAC name may contain `__` as well as `:`, and other tools write both in the
    /// same way. Only this one where nothing is ambiguous.
    pub fn readings(&self) -> Vec<Self> {
        let mut found = vec![self.clone()];
        let written = self.to_inventory_id();
        let Some(literal) = Self::literally(&written).filter(|_| self.is_rbac()) else { return found };
        let parts: Vec<&str> = literal.name.split("__").collect();
        let places = parts.len() - 1;
        if places > MAX_AMBIGUOUS {
            return found;
        }
        for choice in 0..1_u32 << places {
            let mut name = String::new();
            for (n, part) in parts.iter().enumerate() {
                let between = if choice >> n & 1 == 0 { ":" } else { "__" };
                name.push_str(part);
                name.push_str(if n < places { between } else { "" });
            }
            let reading = Self { name, ..self.clone() };
            if !found.contains(&reading) {
                found.push(reading);
            }
        }
        found
    }

    /// Whether the kind is one whose names cli-utils transcodes.
    fn is_rbac(&self) -> bool {
        self.group == "rbac.authorization.k8s.io"
            && ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"].contains(&self.kind.as_str())
    }
}

/// The most `__` in a name for which all readings are tried.
const MAX_AMBIGUOUS: usize = 4;

/// `Kind/namespace/name`, or `Kind/name` for cluster-scoped objects: the form
/// that every message uses.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Namespace and name of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReleaseId {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(namespace: &str, name: &str, group: &str, kind: &str, id: &str, shown: &str) {
        let object = ObjectId {
            namespace: namespace.into(),
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
        };
        assert_eq!(object.to_inventory_id(), id);
        assert_eq!(ObjectId::from_inventory_id(id), Some(object.clone()));
        assert_eq!(object.to_string(), shown);
    }

    #[test]
    fn inventory_ids_read_back() {
        check("apps", "web", "apps", "Deployment", "apps_web_apps_Deployment", "Deployment/apps/web");
        check("default", "cm", "", "ConfigMap", "default_cm__ConfigMap", "ConfigMap/default/cm");
        check("", "demo", "", "Namespace", "_demo__Namespace", "Namespace/demo");
        check(
            "",
            "system:node",
            "rbac.authorization.k8s.io",
            "ClusterRole",
            "_system__node_rbac.authorization.k8s.io_ClusterRole",
            "ClusterRole/system:node",
        );
    }

    #[test]
    fn only_names_of_rbac_are_transcoded() {
        let trust = "certificates.k8s.io";
        check(
            "",
            "a.io:b:c",
            trust,
            "ClusterTrustBundle",
            "_a.io:b:c_certificates.k8s.io_ClusterTrustBundle",
            "ClusterTrustBundle/a.io:b:c",
        );
        check("", "a__b", "x.io", "Thing", "_a__b_x.io_Thing", "Thing/a__b");
        check("n", "a_b", "x.io", "Thing", "n_a_b_x.io_Thing", "Thing/n/a_b");
        let role = |name: &str| ObjectId {
            namespace: "n".into(),
            name: name.into(),
            group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
        };
        let readings =
            |name: &str| -> Vec<String> { role(name).readings().into_iter().map(|id| id.name).collect() };
        assert_eq!(readings("a"), ["a"]);
        assert_eq!(readings("a:b"), ["a:b", "a__b"]);
        assert_eq!(readings("a__b"), ["a__b", "a:b"]);
        assert_eq!(readings("a:b__c"), ["a:b__c", "a:b:c", "a__b:c", "a__b__c"]);
        assert_eq!(readings("a:b:c:d:e:f"), ["a:b:c:d:e:f"]);
        let map = ObjectId { kind: "ConfigMap".into(), group: String::new(), ..role("a__b") };
        assert_eq!(map.readings(), std::slice::from_ref(&map));
    }

    #[test]
    fn what_is_not_an_inventory_id_is_refused() {
        for id in ["", "a", "a_b", "a_b_c", "a__c_K", "a_b_c_"] {
            assert_eq!(ObjectId::from_inventory_id(id), None, "{id}");
        }
    }
}
