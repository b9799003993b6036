//! References follow names: where an object was renamed or moved, the fields of
//! others that name it are set, by kustomize's table of references.

use std::collections::HashSet;

use serde_json::Value;

use super::fields::visit;
use super::locations::{Named, REFERENCES, ROLE_REF};
use super::set::{Member, Name, Set};

/// What is known of an object that may be named.
struct Candidate {
    current: Name,
    original: Name,
    previous: Vec<Name>,
    /// As the manifest says it, empty where it does not.
    namespace: String,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Candidate {
    fn of(member: &Member) -> Self {
        Self {
            current: member.current(),
            original: member.original(),
            previous: member.previous_names().collect(),
            namespace: member.object.namespace().to_owned(),
            prefixes: member.prefixes.clone(),
            suffixes: member.suffixes.clone(),
        }
    }

    fn is_selected(&self, group: &str, version: &str, kind: &str) -> bool {
        let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        self.previous
            .iter()
            .any(|name| fits(group, &name.group) && fits(version, &name.version) && fits(kind, &name.kind))
    }
}

/// Sets every reference to an object that has had another name.
pub(super) fn follow(set: &mut Set) -> Result<(), String> {
    if set.members.iter().all(|member| member.previous.is_empty()) {
        return Ok(());
    }
    let all: Vec<Candidate> = set.members.iter().map(Candidate::of).collect();
    for (member, referrer) in set.members.iter_mut().zip(&all) {
        let value = member.object.value_mut();
        let reachable = reachable(value, referrer, &all);
        for named in REFERENCES {
            let search = Search { named, referrer, reachable: &reachable, role: role(value) };
            let pods = named.in_pods.0.iter().filter(|(kind, _)| *kind == referrer.original.kind);
            let in_pods =
                pods.flat_map(|(_, at)| named.in_pods.1.iter().map(move |path| format!("{at}/{path}")));
            let fields = named.fields.iter();
            let own = fields.filter(|f| f.is_for(&referrer.original.group, &referrer.original.kind));
            for path in in_pods.chain(own.map(|field| field.path.to_owned())) {
                let with_role = path == ROLE_REF;
                visit(value, &path, None, &mut |value| search.set(value, with_role))
                    .map_err(|why| format!("{}: {why}", referrer.current))?;
            }
        }
    }
    Ok(())
}

/// Group and kind of the role that a binding names.
fn role(value: &Value) -> Option<(String, String)> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Some((text("/roleRef/apiGroup")?, text("/roleRef/kind")?))
}

/// What the object could name: what is in its namespace or in none, and the
/// namespaces of the accounts that a RoleBinding names.
fn reachable<'c>(value: &Value, referrer: &Candidate, all: &'c [Candidate]) -> Vec<&'c Candidate> {
    let subjects = match referrer.current.kind.as_str() {
        "RoleBinding" => value.get("subjects").and_then(Value::as_array),
        _ => None,
    };
    let account = |subject: &&Value| subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount");
    let namespaces: HashSet<&str> = subjects
        .into_iter()
        .flatten()
        .filter(account)
        .filter_map(|subject| subject.get("namespace")?.as_str())
        .collect();
    let reaches = |candidate: &&Candidate| {
        referrer.current.is_cluster_scoped()
            || candidate.current.is_cluster_scoped()
            || candidate.current.namespace == referrer.current.namespace
            || namespaces.contains(candidate.namespace.as_str())
    };
    all.iter().filter(reaches).collect()
}

struct Search<'a> {
    named: &'a Named,
    referrer: &'a Candidate,
    reachable: &'a [&'a Candidate],
    role: Option<(String, String)>,
}

impl<'a> Search<'a> {
    fn set(&self, value: &mut Value, with_role: bool) -> Result<(), String> {
        match value {
            Value::Null => Ok(()),
            Value::Array(values) => values.iter_mut().try_for_each(|value| match value {
                Value::Array(_) => Err("a name is looked for in a list of lists".into()),
                value => self.set(value, with_role),
            }),
            Value::Object(fields) => {
                let Some(name) = fields.get("name") else { return Err("there is no field name".into()) };
                let name = name.as_str().unwrap_or_default().to_owned();
                let namespace = fields.get("namespace").map(|n| n.as_str().unwrap_or_default().to_owned());
                let Some(found) = self.select(&name, namespace.as_deref(), true, with_role)? else {
                    return Ok(());
                };
                if found.current.name != name || !found.namespace.is_empty() {
                    fields.insert("name".into(), found.current.name.clone().into());
                }
                if !found.namespace.is_empty() {
                    fields.insert("namespace".into(), found.namespace.clone().into());
                }
                Ok(())
            }
            Value::String(name) => {
                if let Some(found) = self.select(name, None, false, with_role)? {
                    name.clone_from(&found.current.name);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The object that a name means, if it was once called so.
    fn select(
        &self,
        name: &str,
        namespace: Option<&str>,
        with_namespace: bool,
        with_role: bool,
    ) -> Result<Option<&'a Candidate>, String> {
        let called = |candidate: &Candidate| candidate.previous.iter().any(|previous| previous.name == name);
        let is_kind = |c: &Candidate| c.is_selected(self.named.group, self.named.version, self.named.kind);
        let is_role = |candidate: &Candidate| match &self.role {
            Some((group, kind)) if with_role => candidate.is_selected(group, "", kind),
            _ => true,
        };
        let mut found: Vec<&Candidate> = self
            .in_namespace(namespace)
            .into_iter()
            .filter(|c| called(c) && is_kind(c) && is_role(c) && self.may_be_named(c))
            .collect();
        if found.len() > 1 {
            found.retain(|candidate| self.same_affixes(candidate, true));
        }
        if found.len() > 1 {
            found.retain(|candidate| self.same_affixes(candidate, false));
        }
        let Some(first) = found.first() else { return Ok(None) };
        let same = |other: &&Candidate| {
            other.current.name == first.current.name
                && (!with_namespace || other.namespace == first.namespace)
        };
        if found.iter().all(same) {
            return Ok(Some(first));
        }
        let names: Vec<String> = found.iter().map(|candidate| candidate.current.to_string()).collect();
        Err(format!("{name:?} can mean several objects: {}", names.join(", ")))
    }

    fn in_namespace(&self, namespace: Option<&str>) -> Vec<&'a Candidate> {
        let Some(namespace) = namespace else { return self.reachable.to_vec() };
        let of = |name: fn(&Candidate) -> &Name| -> Vec<&'a Candidate> {
            let inside = |c: &&&Candidate| !name(c).is_cluster_scoped() && name(c).namespace == namespace;
            self.reachable.iter().filter(inside).copied().collect()
        };
        let original = of(|candidate| &candidate.original);
        if original.is_empty() { of(|candidate| &candidate.current) } else { original }
    }

    fn may_be_named(&self, candidate: &Candidate) -> bool {
        self.referrer.current.is_cluster_scoped()
            || candidate.current.is_cluster_scoped()
            || candidate.current.kind == "ServiceAccount"
            || candidate.current.namespace == self.referrer.current.namespace
    }

    fn same_affixes(&self, candidate: &Candidate, or_none: bool) -> bool {
        let same = |own: &[String], other: &[String]| {
            if own.is_empty() || other.is_empty() {
                return or_none || own.len() == other.len();
            }
            own.iter().rev().zip(other.iter().rev()).all(|(a, b)| a == b)
        };
        same(&candidate.prefixes, &self.referrer.prefixes)
            && same(&candidate.suffixes, &self.referrer.suffixes)
    }
}
