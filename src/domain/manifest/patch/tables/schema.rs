//! Looks up what `kinds` knows about a place in an object.

use super::kinds::{KINDS, NODES, Node};

/// A place in an object of a known kind.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain::manifest::patch) struct Schema(&'static Node);

fn node(index: u16) -> Option<Schema> {
    NODES.get(usize::from(index)).map(Schema)
}

fn find(api_version: &str, kind: &str) -> Option<(u16, bool)> {
    let found = KINDS.binary_search_by(|entry| (entry.0, entry.1).cmp(&(api_version, kind))).ok()?;
    KINDS.get(found).map(|entry| (entry.2, entry.3))
}

/// Whether objects of the kind are known to be cluster-scoped. `false` for a kind
/// that kustomize does not know.
pub(in crate::domain::manifest::patch) fn cluster_scoped(api_version: &str, kind: &str) -> bool {
    find(api_version, kind).is_some_and(|(_, cluster)| cluster)
}

impl Schema {
    /// The root of an object of that kind.
    pub(in crate::domain::manifest::patch) fn of(api_version: &str, kind: &str) -> Option<Self> {
        find(api_version, kind).and_then(|(root, _)| node(root))
    }

    /// A field of the mapping.
    pub(in crate::domain::manifest::patch) fn field(self, name: &str) -> Option<Self> {
        let fields = self.0.fields;
        let found = fields.binary_search_by(|field| field.0.cmp(name)).ok()?;
        node(fields.get(found)?.1)
    }

    /// The elements of the list.
    pub(in crate::domain::manifest::patch) fn items(self) -> Option<Self> {
        self.0.items.and_then(node)
    }

    /// The keys by which the elements of the list merge: none means by value.
    /// `None`: the list is replaced as a whole.
    pub(in crate::domain::manifest::patch) fn merge_keys(self) -> Option<&'static [&'static str]> {
        self.0.merge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order_and_complete() {
        assert!(KINDS.is_sorted_by_key(|entry| (entry.0, entry.1)));
        for node in NODES {
            assert!(node.fields.is_sorted_by_key(|field| field.0), "{node:?}");
            let named = node.fields.iter().map(|field| field.1).chain(node.items);
            assert!(named.into_iter().all(|index| usize::from(index) < NODES.len()), "{node:?}");
        }
    }

    #[test]
    fn lists_merge_by_their_keys() {
        let check = |api_version: &str, kind: &str, path: &str, expected: Option<&[&str]>| {
            let found = path.split('/').fold(Schema::of(api_version, kind), |schema, part| match part {
                "[]" => schema?.items(),
                name => schema?.field(name),
            });
            assert_eq!(found.and_then(Schema::merge_keys), expected, "{kind} {path}");
        };
        let containers = "spec/template/spec/containers";
        check("apps/v1", "Deployment", containers, Some(&["name"]));
        check("apps/v1", "StatefulSet", &format!("{containers}/[]/env"), Some(&["name"]));
        check(
            "apps/v1",
            "DaemonSet",
            &format!("{containers}/[]/ports"),
            Some(&["containerPort", "protocol"]),
        );
        check("batch/v1", "CronJob", "spec/jobTemplate/spec/template/spec/volumes", Some(&["name"]));
        check("v1", "Service", "spec/ports", Some(&["port", "protocol"]));
        check("v1", "ConfigMap", "metadata/finalizers", Some(&[]));
        check("networking.k8s.io/v1", "Ingress", "spec/rules", None);
        check("apps/v1", "Deployment", &format!("{containers}/[]/args"), None);
        check("example.com/v1", "Deployment", containers, None);
        // A kind that kustomize's schema is too old for.
        check("autoscaling/v2", "HorizontalPodAutoscaler", "metadata/finalizers", None);
    }

    #[test]
    fn cluster_scoped_kinds_are_known() {
        let check = |api_version: &str, kind: &str, expected: bool| {
            assert_eq!(cluster_scoped(api_version, kind), expected, "{kind}");
        };
        check("v1", "Namespace", true);
        check("rbac.authorization.k8s.io/v1", "ClusterRole", true);
        check("v1", "ConfigMap", false);
        check("example.com/v1", "Cluster", false);
    }
}
