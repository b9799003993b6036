//! The identity of an object while it is patched.

use super::tables::schema::cluster_scoped;
use crate::domain::objects::object::Object;

/// The namespace that kustomize uses for cluster-scoped objects.
const NO_NAMESPACE: &str = "_non_namespaceable_";

/// The identity of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    /// With the word for cluster-scoped, and `default` where it is not set.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Name {
    pub(super) fn of(object: &Object) -> Self {
        Self::new(object.api_version(), object.kind(), object.namespace(), object.name())
    }

    pub(super) fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let namespace = match namespace {
            _ if cluster_scoped(api_version, kind) => NO_NAMESPACE,
            "" => "default",
            namespace => namespace,
        };
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    pub(super) fn is_cluster_scoped(&self) -> bool {
        self.namespace == NO_NAMESPACE
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let namespace = if self.is_cluster_scoped() { "" } else { self.namespace.as_str() };
        let slash = if namespace.is_empty() { "" } else { "/" };
        write!(f, "{}/{namespace}{slash}{}", self.kind, self.name)
    }
}
