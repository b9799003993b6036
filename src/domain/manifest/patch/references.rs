//! References follow names: where an object was renamed or moved, the fields of
//! others that name it are set, by kustomize's table of references.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::error::PatchError;
use super::name::Name;
use super::set::{Member, Set};
use super::steps::{LOOK, spend};
use super::tables::fields::visit;
use super::tables::locations::{Named, REFERENCES, ROLE_REF};
use crate::domain::manifest::budget::Budget;

/// What is known about an object that references may name.
struct Candidate {
    current: Name,
    original: Name,
    previous: Vec<Name>,
    /// As in the manifest, empty where it is not set.
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

impl Set {
    /// Lets references follow objects that were renamed.
    ///
    /// # Errors
    /// A reference matches several objects, or is where no reference can be.
    pub fn follow_names(&mut self) -> Result<(), PatchError> {
        follow(self).map_err(|why| PatchError::new("patches", why))
    }
}

/// Sets every reference to an object that has had another name.
fn follow(set: &mut Set) -> Result<(), String> {
    if set.members.iter().all(|member| member.previous.is_empty()) {
        return Ok(());
    }
    let all: Vec<Candidate> = set.members.iter().map(Candidate::of).collect();
    let index = Index::of(&all);
    let Set { members, steps, .. } = set;
    for (member, referrer) in members.iter_mut().zip(&all) {
        let value = member.object.value_mut();
        let accounts = account_namespaces(value, referrer);
        for named in REFERENCES {
            let search = Search { named, referrer, index: &index, accounts: &accounts, role: role(value) };
            let pods = named.in_pods.0.iter().filter(|(kind, _)| *kind == referrer.original.kind);
            let in_pods =
                pods.flat_map(|(_, at)| named.in_pods.1.iter().map(move |path| format!("{at}/{path}")));
            let fields = named.fields.iter();
            let own = fields.filter(|f| f.is_for(&referrer.original.group, &referrer.original.kind));
            for path in in_pods.chain(own.map(|field| field.path.to_owned())) {
                let with_role = path == ROLE_REF;
                visit(value, &path, None, &mut |value| search.set(value, with_role, steps))
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

/// The namespaces of the accounts that a RoleBinding names.
fn account_namespaces(value: &Value, referrer: &Candidate) -> HashSet<String> {
    let subjects = match referrer.current.kind.as_str() {
        "RoleBinding" => value.get("subjects").and_then(Value::as_array),
        _ => None,
    };
    let account = |subject: &&Value| subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount");
    let subjects = subjects.into_iter().flatten().filter(account);
    subjects.filter_map(|subject| Some(subject.get("namespace")?.as_str()?.to_owned())).collect()
}

/// The objects by their former names, so that a reference does not search all of
/// them.
struct Index<'c> {
    /// By every former name, in their order.
    called: HashMap<&'c str, Vec<&'c Candidate>>,
    /// By the original namespace: one object for each namespace that its objects are in now.
    moved: HashMap<&'c str, HashMap<(&'c str, &'c str), &'c Candidate>>,
}

impl<'c> Index<'c> {
    fn of(all: &'c [Candidate]) -> Self {
        let mut index = Self { called: HashMap::new(), moved: HashMap::new() };
        for candidate in all {
            let names: HashSet<&str> = candidate.previous.iter().map(|name| name.name.as_str()).collect();
            names.into_iter().for_each(|name| index.called.entry(name).or_default().push(candidate));
            if !candidate.original.is_cluster_scoped() {
                let now = (candidate.current.namespace.as_str(), candidate.namespace.as_str());
                let first = candidate.original.namespace.as_str();
                index.moved.entry(first).or_default().entry(now).or_insert(candidate);
            }
        }
        index
    }
}

struct Search<'a> {
    named: &'a Named,
    referrer: &'a Candidate,
    index: &'a Index<'a>,
    accounts: &'a HashSet<String>,
    role: Option<(String, String)>,
}

impl<'a> Search<'a> {
    fn set(&self, value: &mut Value, with_role: bool, steps: &mut Budget) -> Result<(), String> {
        match value {
            Value::Null => Ok(()),
            Value::Array(values) => values.iter_mut().try_for_each(|value| match value {
                Value::Array(_) => Err("expected a name, found a list of lists".into()),
                value => self.set(value, with_role, steps),
            }),
            Value::Object(fields) => {
                let Some(name) = fields.get("name") else { return Err("the field name is missing".into()) };
                let name = name.as_str().unwrap_or_default().to_owned();
                let namespace = fields.get("namespace").map(|n| n.as_str().unwrap_or_default().to_owned());
                let Some(found) = self.select(&name, (namespace.as_deref(), true), with_role, steps)? else {
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
                if let Some(found) = self.select(name, (None, false), with_role, steps)? {
                    name.clone_from(&found.current.name);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The object that a name refers to, if it ever had that name.
    fn select(
        &self,
        name: &str,
        (namespace, with_namespace): (Option<&str>, bool),
        with_role: bool,
        steps: &mut Budget,
    ) -> Result<Option<&'a Candidate>, String> {
        spend(steps, LOOK)?;
        let Some(called) = self.index.called.get(name) else { return Ok(None) };
        spend(steps, LOOK * called.iter().map(|c| 1 + c.previous.len() as u64).sum::<u64>())?;
        let is_kind = |c: &Candidate| c.is_selected(self.named.group, self.named.version, self.named.kind);
        let is_role = |candidate: &Candidate| match &self.role {
            Some((group, kind)) if with_role => candidate.is_selected(group, "", kind),
            _ => true,
        };
        let in_namespace = self.in_namespace(namespace, steps)?;
        let mut found: Vec<&Candidate> = called
            .iter()
            .copied()
            .filter(|c| self.reaches(c) && in_namespace(c))
            .filter(|c| is_kind(c) && is_role(c) && self.may_be_named(c))
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
        Err(format!("{name:?} matches several objects: {}", names.join(", ")))
    }

    /// Whether an object is in the namespace of a reference. If any object that the
    /// reference can reach was there originally, the original namespaces count,
    /// otherwise the current ones.
    fn in_namespace<'n>(
        &self,
        namespace: Option<&'n str>,
        steps: &mut Budget,
    ) -> Result<impl Fn(&Candidate) -> bool + 'n, String> {
        let moved = namespace.and_then(|namespace| self.index.moved.get(namespace));
        spend(steps, moved.map_or(1, |moved| moved.len() as u64))?;
        let at_first = moved.is_some_and(|moved| moved.values().any(|candidate| self.reaches(candidate)));
        Ok(move |candidate: &Candidate| {
            let name = if at_first { &candidate.original } else { &candidate.current };
            namespace.is_none_or(|namespace| !name.is_cluster_scoped() && name.namespace == namespace)
        })
    }

    /// Whether the referrer can name it: it is in the same namespace or
    /// cluster-scoped, or in a namespace of the accounts that a RoleBinding names.
    fn reaches(&self, candidate: &Candidate) -> bool {
        self.may_be_in(candidate) || self.accounts.contains(candidate.namespace.as_str())
    }

    fn may_be_in(&self, candidate: &Candidate) -> bool {
        self.referrer.current.is_cluster_scoped()
            || candidate.current.is_cluster_scoped()
            || candidate.current.namespace == self.referrer.current.namespace
    }

    fn may_be_named(&self, candidate: &Candidate) -> bool {
        self.may_be_in(candidate) || candidate.current.kind == "ServiceAccount"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::objects::object::Object;
    use serde_json::json;

    fn set(objects: usize) -> Set {
        let object = |kind: &str, n: usize, spec: Value| {
            let metadata = json!({"name": format!("c{n}"), "namespace": "n"});
            Object::new(json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}))
                .unwrap()
        };
        let volume = |n: usize| json!({"volumes": [{"name": "v", "configMap": {"name": format!("c{n}")}}]});
        let maps = (0..objects).map(|n| object("ConfigMap", n, json!({})));
        let mut set = Set::new(maps.chain((0..objects).map(|n| object("Pod", n, volume(n)))));
        set.rename("", "-x");
        set
    }

    #[test]
    fn references_do_not_search_every_object() {
        let mut set = Set { steps: Budget::new(500 * 1000), ..set(500) };
        assert_eq!(follow(&mut set), Ok(()));
        let name = set.members[999].object.value().pointer("/spec/volumes/0/configMap/name");
        assert_eq!(name, Some(&json!("c499-x")));
    }

    #[test]
    fn references_have_a_limit() {
        let mut set = Set { steps: Budget::new(10_000), ..set(500) };
        assert!(follow(&mut set).unwrap_err().contains("too expensive"));
    }
}
