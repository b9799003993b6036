//! The owner of an object according to the labels of another tool.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::keys;
use crate::domain::objects::identity::ReleaseId;

/// The tool that applied objects, and how it marks them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Its name, for people.
    pub tool: String,
    /// The prefix of its labels `PREFIX/name` and `PREFIX/namespace`.
    pub label_prefix: String,
    /// The field managers it applies as.
    pub managers: Vec<String>,
    /// How it marks the objects: the value of its label `PREFIX/name`,
    pub name: String,
    /// and that of `PREFIX/namespace`.
    pub namespace: String,
}

impl Former {
    fn labels(&self) -> [String; 2] {
        ["name", "namespace"].map(|name| format!("{}/{name}", self.label_prefix))
    }
}

/// The owner of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormerClaim {
    /// The other tool: the object can be adopted.
    Theirs,
    /// This tool: an interrupted run has already adopted it, or nothing is to be done.
    Ours,
    /// Another owner: the object is not changed.
    Foreign(String),
}

/// The owner of an object, by its labels. An object without an owner does not belong
/// to the other tool either, because the tool marks everything that it applies.
pub fn claim(live: &Value, former: &Former, me: &ReleaseId) -> FormerClaim {
    let label = |key: &str| live.get("metadata")?.get("labels")?.get(key)?.as_str();
    let pair = |name: &str, namespace: &str| Some((label(name)?.to_owned(), label(namespace)?.to_owned()));
    match pair(keys::OWNER_NAME, keys::OWNER_NAMESPACE) {
        Some((name, namespace)) if name == me.name && namespace == me.namespace => return FormerClaim::Ours,
        Some((name, namespace)) => {
            return FormerClaim::Foreign(format!(
                "it belongs to the supercargo inventory or release {namespace}/{name}"
            ));
        }
        None => {}
    }
    let [name, namespace] = former.labels();
    match pair(&name, &namespace) {
        Some((name, namespace)) if name == former.name && namespace == former.namespace => {
            FormerClaim::Theirs
        }
        Some((name, namespace)) => FormerClaim::Foreign(format!(
            "its labels say that it belongs to {} {namespace}/{name}",
            former.tool
        )),
        None => FormerClaim::Foreign(format!("it has no {} labels", former.tool)),
    }
}

/// The merge patch that sets our labels on an object, if it is still the one that was
/// read.
pub fn relabel(live: &Value, former: &Former, me: &ReleaseId) -> Value {
    let [name, namespace] = former.labels();
    let metadata = &live["metadata"];
    let mut patch = json!({"metadata": {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "labels": {
            name: null,
            namespace: null,
            keys::OWNER_NAME: me.name,
            keys::OWNER_NAMESPACE: me.namespace,
        },
    }});
    if mark(live, former, "prune") == Some("disabled") {
        // An object that the tool must never delete is not deleted by us either.
        patch["metadata"]["annotations"] = json!({keys::PRUNE: keys::DISABLED});
    }
    patch
}

/// An annotation or label that configures how the tool treats an object.
fn mark<'a>(live: &'a Value, former: &Former, name: &str) -> Option<&'a str> {
    let key = format!("{}/{name}", former.label_prefix);
    let of = |kind: &str| live.get("metadata")?.get(kind)?.get(&key)?.as_str();
    of("annotations").or_else(|| of("labels"))
}

/// The settings of an object for the other tool that have no effect here, as messages
/// for a person.
pub fn lost_marks(live: &Value, former: &Former) -> Vec<String> {
    let means = [
        ("ssa", "use supercargo.dev/apply in the manifest instead"),
        ("reconcile", "use supercargo.dev/apply: Ignore in the manifest instead"),
        ("force", "use supercargo.dev/force in the manifest instead"),
    ];
    let named =
        means.into_iter().filter_map(|(name, instead)| Some((name, mark(live, former, name)?, instead)));
    named
        .map(|(name, value, instead)| {
            format!("{}/{name}: {value} has no effect in supercargo: {instead}", former.label_prefix)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: "web".into() }
    }

    fn former() -> Former {
        Former {
            tool: "Kustomizer".into(),
            label_prefix: "inventory.kustomizer.dev".into(),
            managers: vec!["kustomizer".into()],
            name: "web".into(),
            namespace: "apps".into(),
        }
    }

    #[test]
    fn only_what_the_tool_has_marked_as_its_own_is_taken() {
        let check = |labels: Value, expected: &FormerClaim| {
            let found = claim(&json!({"metadata": {"labels": labels}}), &former(), &me());
            assert_eq!(found, *expected, "{labels}");
        };
        let theirs = |name: &str, namespace: &str| json!({"inventory.kustomizer.dev/name": name, "inventory.kustomizer.dev/namespace": namespace});
        check(theirs("web", "apps"), &FormerClaim::Theirs);
        check(json!({"supercargo.dev/name": "web", "supercargo.dev/namespace": "apps"}), &FormerClaim::Ours);
        let foreign = |why: &str| FormerClaim::Foreign(why.to_owned());
        check(theirs("web", "other"), &foreign("its labels say that it belongs to Kustomizer other/web"));
        check(json!({}), &foreign("it has no Kustomizer labels"));
        check(json!({"inventory.kustomizer.dev/name": "web"}), &foreign("it has no Kustomizer labels"));
        let mut both = theirs("web", "apps");
        both["supercargo.dev/name"] = "x".into();
        both["supercargo.dev/namespace"] = "y".into();
        check(both, &foreign("it belongs to the supercargo inventory or release y/x"));
    }

    #[test]
    fn a_relabelled_object_is_the_one_that_was_looked_at() {
        let live = json!({"metadata": {"uid": "u", "resourceVersion": "7", "labels": {"app": "web"}}});
        let expected = json!({"metadata": {"uid": "u", "resourceVersion": "7", "labels": {
            "inventory.kustomizer.dev/name": null, "inventory.kustomizer.dev/namespace": null,
            "supercargo.dev/name": "web", "supercargo.dev/namespace": "apps"}}});
        assert_eq!(relabel(&live, &former(), &me()), expected);
        let mut kept = live;
        kept["metadata"]["annotations"] = json!({"inventory.kustomizer.dev/prune": "disabled"});
        let annotations = &relabel(&kept, &former(), &me())["metadata"]["annotations"];
        assert_eq!(*annotations, json!({"supercargo.dev/prune": "disabled"}));
    }

    #[test]
    fn settings_for_the_other_tool_are_not_lost_silently() {
        let live = json!({"metadata": {"annotations": {"inventory.kustomizer.dev/ssa": "IfNotPresent"}}});
        let expected = "inventory.kustomizer.dev/ssa: IfNotPresent has no effect in supercargo: use supercargo.dev/apply \
                        in the manifest instead";
        assert_eq!(lost_marks(&live, &former()), [expected]);
        assert_eq!(lost_marks(&json!({"metadata": {}}), &former()), [""; 0]);
    }
}
