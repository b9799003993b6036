//! Names of things in the cluster: kinds, objects and releases.

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
    /// Kustomizer and Flux write it. A `:` in a name (RBAC allows it) is
    /// written `__`.
    pub fn to_inventory_id(&self) -> String {
        let name = self.name.replace(':', "__");
        format!("{}_{}_{}_{}", self.namespace, name, self.group, self.kind)
    }

    /// Reads the inventory form. It is parsed from both ends, because the name
    /// in the middle may hold underscores; `None` when it is not one.
    pub fn from_inventory_id(id: &str) -> Option<Self> {
        let (namespace, rest) = id.split_once('_')?;
        let (rest, kind) = rest.rsplit_once('_')?;
        let (name, group) = rest.rsplit_once('_')?;
        if name.is_empty() || kind.is_empty() {
            return None;
        }
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.replace("__", ":"),
            group: group.to_owned(),
            kind: kind.to_owned(),
        })
    }
}

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
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    fn what_is_not_an_inventory_id_is_refused() {
        for id in ["", "a", "a_b", "a_b_c", "a__c_K", "a_b_c_"] {
            assert_eq!(ObjectId::from_inventory_id(id), None, "{id}");
        }
    }
}
