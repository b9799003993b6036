//! A kind that is served, and the paths of its objects.

use crate::domain::health::Reports;
use crate::domain::identity::{GroupKind, ObjectId, api_version};

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
    /// Whether its objects have a status.
    pub reports: Reports,
}

impl Resource {
    /// `group/version`, or the version alone.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The path of the collection, in a namespace or in all.
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
pub(in crate::cluster) fn escape(name: &str) -> String {
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
            reports: Reports::Unknown,
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
}
