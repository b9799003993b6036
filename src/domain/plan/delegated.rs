//! Fields that are left to other managers: those of `spec.drift.ignore`, and the
//! replicas of what an autoscaler of the same set scales. Until another manager
//! owns such a field, it has the value of the manifest: the API server would remove
//! a field that is ours and is not sent any more.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::api::keys;
use crate::domain::manifest::canonical::content_hash;
use crate::domain::manifest::patch::target::{Called, PatchTarget};
use crate::domain::objects::identity::group_of;
use crate::domain::objects::object::Object;

/// Fields of chosen objects that drift may change, a rule of `spec.drift.ignore`.
#[derive(Clone, Debug)]
pub struct Ignore {
    /// The objects; `None` is all.
    pub target: Option<PatchTarget>,
    /// JSON pointers.
    pub paths: Vec<String>,
}

impl Ignore {
    fn is_about(&self, object: &Object) -> bool {
        let called = Called {
            group: object.group(),
            version: object.version(),
            kind: object.kind(),
            name: object.name(),
            namespace: object.namespace(),
        };
        let fits = |target: &PatchTarget| target.fits_name(called) && target.fits_metadata(object.value());
        self.target.as_ref().is_none_or(fits)
    }
}

/// Which fields of the objects of a set are left to other managers.
pub struct Delegation<'a> {
    rules: &'a [Ignore],
    /// By namespace and name.
    scaled: HashMap<(String, String), Vec<Scaled>>,
}

/// What an autoscaler scales.
struct Scaled {
    /// `None`: the reference has no group, and every group matches.
    group: Option<String>,
    kind: String,
}

impl<'a> Delegation<'a> {
    /// Of rendered objects, by these rules. Autoscalers are a
    /// HorizontalPodAutoscaler of any version, and a `ScaledObject` of KEDA.
    pub fn of(objects: &[Object], rules: &'a [Ignore]) -> Self {
        let mut scaled: HashMap<_, Vec<Scaled>> = HashMap::new();
        for (place, target) in objects.iter().filter_map(scale_target) {
            scaled.entry(place).or_default().push(target);
        }
        Self { rules, scaled }
    }

    /// The fields of an object, as JSON pointers, each once.
    pub fn paths(&self, object: &Object) -> Vec<String> {
        let rules = self.rules.iter().filter(|rule| rule.is_about(object));
        let mut paths: Vec<String> = rules.flat_map(|rule| rule.paths.iter().cloned()).collect();
        let is_scaled = |target: &Scaled| {
            let group = target.group.as_deref();
            object.kind() == target.kind && group.is_none_or(|group| group == object.group())
        };
        // The key of the map is a pair of strings; few sets have an autoscaler.
        let place = || (object.namespace().to_owned(), object.name().to_owned());
        if !self.scaled.is_empty() && self.scaled.get(&place()).is_some_and(|t| t.iter().any(is_scaled)) {
            paths.push("/spec/replicas".to_owned());
        }
        paths.sort();
        paths.dedup();
        paths
    }
}

/// Hash of an object and of the list of its fields that are left to other managers:
/// when the list changes, the object is applied again.
pub fn hash(object: &Object, paths: &[String]) -> String {
    let content = content_hash(object);
    if paths.is_empty() {
        return content;
    }
    let text = format!("{content}\n{}", paths.join("\n"));
    hex::encode(&Sha256::digest(text)[..16])
}

fn scale_target(object: &Object) -> Option<((String, String), Scaled)> {
    // What KEDA assumes; an HPA always names a kind.
    let default_kind = match (object.group(), object.kind()) {
        ("autoscaling", "HorizontalPodAutoscaler") => None,
        ("keda.sh", "ScaledObject") => Some("Deployment"),
        _ => return None,
    };
    let reference = object.value().pointer("/spec/scaleTargetRef")?;
    let text = |field| reference.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let version = text("apiVersion").or(default_kind.map(|_| "apps/v1"));
    let scaled = Scaled {
        group: version.map(|version| group_of(version).to_owned()),
        kind: text("kind").or(default_kind)?.to_owned(),
    };
    Some(((object.namespace().to_owned(), text("name")?.to_owned()), scaled))
}

/// Leaves fields of what is sent to the managers that own them on the live object. A
/// field that no other manager owns keeps the value of the manifest, and where the
/// manifest has none, the one that we set before.
///
/// Returns whether such a field is sent: a manager that takes it over before the apply
/// would lose it again, so the apply must find exactly this object.
pub fn leave_to_others(object: &mut Value, live: &Value, paths: &[String]) -> bool {
    let managed = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let is_ours = |m: &&Value| {
        m["manager"] == keys::FIELD_MANAGER && m["operation"] == "Apply" && m["subresource"].is_null()
    };
    let (ours, others): (Vec<&Value>, Vec<&Value>) = managed.into_iter().flatten().partition(is_ours);
    let (ours, others) = (roots(ours), roots(others));
    let mut sent = false;
    for path in paths {
        let tokens: Vec<String> = tokens(path).collect();
        let owners = Owners { ours: ours.clone(), others: others.clone() };
        let Some((owners, live)) = descend(object, live, owners, &tokens) else {
            sent |= object.pointer(path).is_some();
            continue;
        };
        match object.pointer_mut(path) {
            Some(value) => match settle(value, live, &owners) {
                Verdict::Keep => sent = true,
                Verdict::Leave => remove(object, path),
                Verdict::Same => {
                    *value = live.clone();
                    sent = true;
                }
            },
            None if owners.only_ours() => sent |= insert(object, &tokens, live),
            None => {}
        }
    }
    sent
}

fn roots(managers: Vec<&Value>) -> Vec<Node<'_>> {
    // A manager without fields owns nothing, not everything.
    let fields = managers.into_iter().map(|manager| &manager["fieldsV1"]);
    fields.filter(|fields| !is_leaf(fields)).map(Node::Part).collect()
}

/// What is done with a field of what is sent.
enum Verdict {
    /// It is sent as it is.
    Keep,
    /// It is not sent.
    Leave,
    /// It is sent with the live value: it is in a list or map that is owned as a
    /// whole.
    Same,
}

/// How a set of owned fields (fieldsV1) contains a field.
#[derive(Clone, Copy)]
enum Node<'a> {
    /// The field, or something below it.
    Part(&'a Value),
    /// A list or map around it, as a whole.
    Whole,
}

#[derive(Clone)]
struct Owners<'a> {
    ours: Vec<Node<'a>>,
    others: Vec<Node<'a>>,
}

impl<'a> Owners<'a> {
    fn step(&self, next: impl Fn(&'a Value) -> Option<&'a Value>) -> Self {
        let step = |nodes: &[Node<'a>]| -> Vec<Node<'a>> {
            nodes
                .iter()
                .filter_map(|node| match node {
                    Node::Whole => Some(Node::Whole),
                    Node::Part(fields) if is_leaf(fields) => Some(Node::Whole),
                    Node::Part(fields) => next(fields).map(Node::Part),
                })
                .collect()
        };
        Self { ours: step(&self.ours), others: step(&self.others) }
    }

    fn field(&self, name: &str) -> Self {
        let name = format!("f:{name}");
        self.step(|fields| fields.get(&name))
    }

    fn parts(&self) -> impl Iterator<Item = &'a Value> + '_ {
        self.ours.iter().chain(&self.others).filter_map(|node| match node {
            Node::Part(fields) => Some(*fields),
            Node::Whole => None,
        })
    }

    /// Whether another client owns the field. Where we own the field itself, a map
    /// around it that another client owns as a whole was empty when that client set it.
    fn others(&self) -> bool {
        let part = |node: &Node<'_>| matches!(node, Node::Part(_));
        self.others.iter().any(part) || (!self.others.is_empty() && !self.ours.iter().any(part))
    }

    fn only_ours(&self) -> bool {
        self.ours.iter().any(|node| matches!(node, Node::Part(_))) && !self.others()
    }

    fn are_of_a_whole(&self) -> bool {
        self.parts().next().is_none() && !(self.ours.is_empty() && self.others.is_empty())
    }
}

fn is_leaf(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}

/// The owners of a field, and its live value; `None` when it does not exist. An index
/// refers to the list that is sent: in the live list, the item is found by its keys.
fn descend<'a>(
    object: &Value,
    live: &'a Value,
    owners: Owners<'a>,
    tokens: &[String],
) -> Option<(Owners<'a>, &'a Value)> {
    let (mut value, mut live, mut owners) = (Some(object), live, owners);
    for token in tokens {
        match live {
            Value::Object(fields) => {
                owners = owners.field(token);
                live = fields.get(token)?;
                value = value.and_then(|v| v.get(token));
            }
            Value::Array(items) => {
                let index: usize = token.parse().ok()?;
                let item = value.and_then(|v| v.get(index))?;
                let is_keyed = owners.parts().any(|fields| !is_leaf(fields));
                let key = owners.parts().find_map(|fields| key_of(fields, item));
                live = match key {
                    Some(key) => items.iter().find(|live| is_item(key, live))?,
                    None if is_keyed => return None,
                    None => items.get(index)?,
                };
                owners = owners.step(|fields| fields.get(key_of(fields, item)?));
                value = Some(item);
            }
            _ => return None,
        }
    }
    Some((owners, live))
}

/// The name of a list item in a set of owned fields: by its keys (`k:{…}`) or its
/// value (`v:…`).
fn key_of<'a>(fields: &'a Value, item: &Value) -> Option<&'a str> {
    fields.as_object()?.keys().map(String::as_str).find(|key| is_item(key, item))
}

fn is_item(key: &str, item: &Value) -> bool {
    let parsed = |text| serde_json::from_str::<Value>(text).ok();
    match key.split_once(':') {
        Some(("k", keys)) => parsed(keys).is_some_and(|keys| {
            keys.as_object().is_some_and(|keys| keys.iter().all(|(k, v)| item.get(k) == Some(v)))
        }),
        Some(("v", value)) => parsed(value).as_ref() == Some(item),
        _ => false,
    }
}

/// Decides about a field that exists in both; of a map field by field, because
/// others may have taken over some of it.
fn settle(value: &mut Value, live: &Value, owners: &Owners<'_>) -> Verdict {
    if let (Value::Object(fields), Value::Object(live)) = (&mut *value, live)
        && owners.parts().any(|fields| !is_leaf(fields))
    {
        let mut left = Vec::new();
        for (key, value) in fields.iter_mut() {
            let Some(live) = live.get(key) else { continue };
            match settle(value, live, &owners.field(key)) {
                Verdict::Keep => {}
                Verdict::Same => *value = live.clone(),
                Verdict::Leave => left.push(key.clone()),
            }
        }
        for key in &left {
            fields.remove(key);
        }
        return if fields.is_empty() && !left.is_empty() { Verdict::Leave } else { Verdict::Keep };
    }
    match () {
        () if !owners.ours.is_empty() && !owners.others() => Verdict::Keep,
        () if owners.are_of_a_whole() => Verdict::Same,
        () => Verdict::Leave,
    }
}

fn tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~"))
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, _)) = pointer.rsplit_once('/') else { return };
    let Some(token) = tokens(pointer).last() else { return };
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&token);
        }
        Some(Value::Array(items)) => {
            if let Some(n) = token.parse::<usize>().ok().filter(|n| *n < items.len()) {
                items.remove(n);
            }
        }
        _ => {}
    }
}

/// Sets a field that the manifest does not have; says whether that can be done.
fn insert(object: &mut Value, tokens: &[String], value: &Value) -> bool {
    let Some((last, parents)) = tokens.split_last() else { return false };
    let mut place = object;
    for token in parents {
        let next = match place {
            Value::Object(fields) => Some(fields.entry(token).or_insert_with(|| Map::new().into())),
            Value::Array(items) => token.parse::<usize>().ok().and_then(|n| items.get_mut(n)),
            _ => None,
        };
        let Some(next) = next else { return false };
        place = next;
    }
    let Value::Object(fields) = place else { return false };
    fields.insert(last.clone(), value.clone());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        Object::new(value).unwrap()
    }

    /// Whether a Deployment `apps/web` is scaled by another object.
    fn scaled(api_version: &str, kind: &str, namespace: &str, target: Value) -> bool {
        let objects = [
            object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "namespace": "apps"}, "spec": {"replicas": 3, "paused": true}
            })),
            object(json!({
                "apiVersion": api_version, "kind": kind,
                "metadata": {"name": "web", "namespace": namespace}, "spec": {"scaleTargetRef": target}
            })),
        ];
        let delegation = Delegation::of(&objects, &[]);
        assert!(delegation.paths(&objects[1]).is_empty());
        delegation.paths(&objects[0]) == ["/spec/replicas"]
    }

    #[test]
    fn the_replicas_of_what_an_autoscaler_scales_are_left_to_it() {
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let hpa = |target| scaled("autoscaling/v2", "HorizontalPodAutoscaler", "apps", target);
        assert!(hpa(web.clone()));
        assert!(hpa(json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "name": "web"})));
        assert!(hpa(json!({"kind": "Deployment", "name": "web"})));
        assert!(!hpa(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"})));
        assert!(!hpa(json!({"apiVersion": "x.io/v1", "kind": "Deployment", "name": "web"})));
        assert!(!hpa(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "db"})));
        assert!(!hpa(json!(null)));
        assert!(!scaled("autoscaling/v1", "HorizontalPodAutoscaler", "other", web.clone()));
        assert!(!scaled("x.io/v1", "HorizontalPodAutoscaler", "apps", web));
        let keda = |target| scaled("keda.sh/v1alpha1", "ScaledObject", "apps", target);
        assert!(keda(json!({"name": "web"})));
        assert!(keda(json!({"name": "web", "kind": "Deployment"})));
        assert!(!keda(json!({"name": "web", "kind": "StatefulSet"})));
        assert!(!keda(json!({"name": "web", "apiVersion": "x.io/v1"})));
    }

    #[test]
    fn rules_and_autoscalers_are_one_set_of_fields() {
        let rule = |paths: &[&str]| Ignore {
            target: None,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        let objects = [
            object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})),
            object(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
                "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}
            })),
        ];
        let rules = [rule(&["/spec/replicas"]), rule(&["/spec/paused", "/spec/paused"])];
        let delegation = Delegation::of(&objects, &rules);
        assert_eq!(delegation.paths(&objects[0]), ["/spec/paused", "/spec/replicas"]);
        assert_eq!(Delegation::of(&objects, &[]).paths(&objects[0]), ["/spec/replicas"]);
        assert_eq!(Delegation::of(&objects[..1], &[]).paths(&objects[0]), Vec::<String>::new());
        let hashes = [vec![], vec!["/a".to_owned()], vec!["/b".to_owned()]].map(|p| hash(&objects[0], &p));
        assert_eq!(hashes[0], content_hash(&objects[0]));
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0].len() == hashes[1].len());
    }

    /// A live object whose fields we and another manager own.
    fn live(spec: Value, ours: Value, others: Value) -> Value {
        let fields = |of_spec: Value| match is_leaf(&of_spec) {
            true => json!({}),
            false => json!({"f:spec": of_spec}),
        };
        json!({"metadata": {"managedFields": [
                {"manager": "autoscaler", "operation": "Update", "subresource": "scale", "fieldsV1": fields(others)},
                {"manager": "supercargo", "operation": "Apply", "fieldsV1": fields(ours)}]},
            "spec": spec})
    }

    #[track_caller]
    fn check(path: &str, live: &Value, spec: Value, expected: Value, expected_sent: bool) {
        let mut object = json!({"spec": spec});
        let sent = leave_to_others(&mut object, live, &[path.to_owned()]);
        assert_eq!((&object["spec"], sent), (&expected, expected_sent), "{path}");
    }

    #[test]
    fn a_field_is_given_up_once_another_owns_it_and_not_before() {
        let (path, none) = ("/spec/replicas", json!({}));
        let owned = json!({"f:replicas": {}});
        let (two, five) = (json!({"replicas": 2}), json!({"replicas": 5}));
        check(path, &live(five.clone(), owned.clone(), none.clone()), two.clone(), two.clone(), true);
        check(path, &live(five.clone(), none.clone(), owned.clone()), two.clone(), none.clone(), false);
        // A manager that owns it with us may change it next.
        check(path, &live(five.clone(), owned.clone(), owned.clone()), two.clone(), none.clone(), false);
        // Without an owner: a default of the API server.
        check(path, &live(five.clone(), none.clone(), none.clone()), two.clone(), none.clone(), false);
        // It does not exist: the manifest's value is applied.
        check(path, &live(none.clone(), none.clone(), none.clone()), two.clone(), two, true);
        // The manifest does not have it any more: the value that we set is kept.
        check(path, &live(five.clone(), owned.clone(), none.clone()), none.clone(), five.clone(), true);
        check(path, &live(five, none.clone(), owned), none.clone(), none, false);
    }

    #[test]
    fn an_item_of_a_list_is_found_by_its_keys() {
        let item = |name: &str, image: &str| json!({"name": name, "image": image});
        let key =
            |name: &str, field: &str| json!({"f:list": {format!("k:{{\"name\":\"{name}\"}}"): {field: {}}}});
        let path = "/spec/list/0/image";
        let spec = json!({"list": [item("a", "x")]});
        let injected = json!({"list": [item("sidecar", "s"), item("a", "y")]});
        let left = json!({"list": [{"name": "a"}]});
        check(
            path,
            &live(injected.clone(), key("a", "f:image"), json!({})),
            spec.clone(),
            spec.clone(),
            true,
        );
        check(
            path,
            &live(injected.clone(), key("a", "f:name"), key("a", "f:image")),
            spec.clone(),
            left,
            false,
        );
        // Another item is at its index: it is new.
        let new = json!({"list": [item("b", "x")]});
        check(path, &live(injected, key("a", "f:image"), json!({})), new.clone(), new, true);
    }

    #[test]
    fn what_is_in_a_list_that_is_owned_as_a_whole_is_sent_unchanged() {
        let path = "/spec/args/1";
        let spec = json!({"args": ["a", "b"]});
        let edited = json!({"args": ["a", "theirs"]});
        let whole = json!({"f:args": {}});
        check(path, &live(edited.clone(), whole.clone(), json!({})), spec.clone(), spec.clone(), true);
        check(path, &live(edited.clone(), json!({}), whole), spec, edited, true);
    }

    #[test]
    fn of_a_map_every_field_is_its_owners() {
        let path = "/spec/map";
        let (spec, all) = (json!({"map": {"a": "1", "b": "1", "new": "1"}}), json!({"a": "1", "b": "2"}));
        let owner = |field: &str| json!({"f:map": {field: {}}});
        let mixed = live(json!({"map": all}), owner("f:a"), owner("f:b"));
        check(path, &mixed, spec, json!({"map": {"a": "1", "new": "1"}}), true);
        let theirs = live(json!({"map": {"b": "2"}}), json!({}), owner("f:b"));
        check(path, &theirs, json!({"map": {"b": "1"}}), json!({}), false);
        // An empty map of another manager is not the field that we have set in it.
        let empty = live(json!({"map": {"a": "1"}}), owner("f:a"), json!({"f:map": {}}));
        check("/spec/map/a", &empty, json!({"map": {"a": "2"}}), json!({"map": {"a": "2"}}), true);
    }
}
