//! What an apply would change of one object, from dry runs of it.

use serde_json::Value;

use super::change::{FieldChange, PlanAction, PlanChange};
use super::fields::{differences, is_made_of, overlap, pointer, without};
use super::seal::PlanKey;
use super::sensitive::SensitivePaths;
use crate::api::keys;
use crate::domain::manifest::diff::clean;
use crate::domain::objects::identity::{ObjectId, ReleaseId};

/// The most characters of a value that are shown.
const MAX_SHOWN: usize = 200;
/// The most changed fields of an object that are shown; the hash covers the others too.
const MAX_FIELDS: usize = 200;
/// A value that is not shown.
const MASK: &str = "*****";
const BEFORE: &str = "***** (before)";
const AFTER: &str = "***** (after)";

/// An object in the cluster, and the results of dry runs.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The object.
    pub id: &'a ObjectId,
    /// The release that applies it.
    pub release: &'a ReleaseId,
    /// The live object; `None` when there is none.
    pub before: Option<&'a Value>,
    /// The object after the apply.
    pub after: &'a Value,
    /// The same by a second dry run, if there was one.
    pub again: Option<&'a Value>,
}

impl Compared<'_> {
    /// The change; `None` when nothing would change.
    pub fn change(self, key: &PlanKey) -> Option<PlanChange> {
        let Self { id, release, before, after, again } = self;
        let after = &clean(after);
        let again = again.map(clean);
        let varying = again.as_ref().map(|again| differences(after, again)).unwrap_or_default();
        let unstable: Vec<Vec<String>> = varying.iter().map(|difference| difference.path.clone()).collect();
        let Some(before) = before else {
            let content = key.value(&without(after, &unstable));
            let hidden = SensitivePaths::of(None, Some(after));
            let fields = varying.iter().take(MAX_FIELDS).map(|difference| {
                let (_, after) = shown(None, difference.before, hidden.hide(&difference.path));
                FieldChange { path: pointer(&difference.path), before: None, after, is_unstable: true }
            });
            return Some(PlanChange::sealed(key, id, PlanAction::Created, fields.collect(), &content));
        };
        let former = former_owner(before, release);
        let before = &clean(before);
        let hidden = SensitivePaths::of(Some(before), Some(after));
        let mut found = differences(before, after);
        // Without another change, a field that happens to be the same is none.
        if found.is_empty() {
            return None;
        }
        let (mut fields, mut stable) = (Vec::new(), Vec::new());
        found.sort_by(|a, b| a.path.cmp(&b.path));
        for difference in &found {
            let path = pointer(&difference.path);
            let is_unstable = unstable.iter().any(|unstable| overlap(unstable, &difference.path));
            if !is_unstable {
                stable.extend_from_slice(&key.mac(&[path.as_bytes()]));
                let value = |value: Option<&Value>| value.map_or([0; 32], |value| key.value(value));
                stable.extend_from_slice(&value(difference.before));
                stable.extend_from_slice(&value(difference.after));
            }
            if fields.len() < MAX_FIELDS {
                let is_hidden = hidden.hide(&difference.path);
                let (before, after) = shown(difference.before, difference.after, is_hidden);
                fields.push(FieldChange { path, before, after, is_unstable });
            }
        }
        let action = match former {
            Some(owner) => PlanAction::HandedOver { owner },
            None => PlanAction::Configured,
        };
        Some(PlanChange::sealed(key, id, action, fields, &stable))
    }

    /// Whether the result has a value that was neither sent nor there before. The API server or a
    /// webhook has made it up, and only a second dry run shows whether it is the same each time.
    pub fn is_made_up(&self, sent: &Value) -> bool {
        let (sent, before) = (clean(sent), self.before.map(clean));
        !is_made_of(&clean(self.after), [Some(&sent), before.as_ref()])
    }

    /// The change of an object that is deleted and created again.
    pub fn recreated(self, key: &PlanKey, uid: String) -> PlanChange {
        let Self { id, before, after, .. } = self;
        let fields = self.change(key).map(|change| change.fields).unwrap_or_default();
        let content = key.value(&clean(after));
        debug_assert!(before.is_some(), "only what exists is recreated");
        PlanChange::sealed(key, id, PlanAction::Recreated { uid }, fields, &content)
    }
}

impl PlanChange {
    /// A step that is run.
    pub fn run(key: &PlanKey, id: &ObjectId, sent: &Value) -> Self {
        Self::sealed(key, id, PlanAction::Run, Vec::new(), &key.value(&clean(sent)))
    }

    /// An object of which only what is sent is known.
    pub fn unknown(key: &PlanKey, id: &ObjectId, sent: &Value, why: &str) -> Self {
        let action = PlanAction::Unknown { why: why.to_owned() };
        Self::sealed(key, id, action, Vec::new(), &key.value(&clean(sent)))
    }
}

/// The other release that the labels of a live object name.
fn former_owner(live: &Value, release: &ReleaseId) -> Option<String> {
    let label = |key: &str| Some(live["metadata"]["labels"].get(key)?.as_str()?.to_owned());
    let owner = ReleaseId { namespace: label(keys::OWNER_NAMESPACE)?, name: label(keys::OWNER_NAME)? };
    (owner != *release).then(|| owner.to_string())
}

fn shown(before: Option<&Value>, after: Option<&Value>, is_hidden: bool) -> (Option<String>, Option<String>) {
    match (before, after) {
        (Some(_), Some(_)) if is_hidden => (Some(BEFORE.to_owned()), Some(AFTER.to_owned())),
        (before, after) if is_hidden => (before.map(|_| MASK.to_owned()), after.map(|_| MASK.to_owned())),
        (before, after) => (before.map(text), after.map(text)),
    }
}

/// A string as it is, anything else as JSON; at most [`MAX_SHOWN`] characters.
fn text(value: &Value) -> String {
    let whole = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match whole.char_indices().nth(MAX_SHOWN) {
        None => whole,
        Some((end, _)) => format!("{}… ({} more bytes)", &whole[..end], whole.len() - end),
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::ChangeSet;
    use super::super::hash::PlanInputs;
    use super::*;
    use serde_json::json;

    fn id(kind: &str) -> ObjectId {
        ObjectId {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: "team".to_owned(),
            name: "a".to_owned(),
        }
    }

    fn object(kind: &str, fields: Value) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": kind,
            "metadata": {"name": "a", "namespace": "team", "resourceVersion": "1"}});
        for (key, value) in fields.as_object().unwrap() {
            object[key] = value.clone();
        }
        object
    }

    fn changed(before: Option<&Value>, after: &Value, again: Option<&Value>) -> Option<PlanChange> {
        let release = ReleaseId { namespace: "team".into(), name: "app".into() };
        let id = id(after["kind"].as_str().unwrap());
        let key = PlanKey::of_salt("x");
        Compared { id: &id, release: &release, before, after, again }.change(&key)
    }

    #[test]
    fn fields_are_shown_and_sensitive_values_are_not() {
        let check = |kind: &str, annotations: Value, before: Value, after: Value, expected: &[&str]| {
            let side = |fields: Value| {
                let mut side = object(kind, json!({ "data": fields }));
                side["metadata"]["annotations"] = annotations.clone();
                side
            };
            let change = changed(Some(&side(before)), &side(after), None);
            let fields: Vec<String> = change
                .iter()
                .flat_map(|change| &change.fields)
                .map(|f| format!("{} {:?} {:?}", f.path, f.before, f.after))
                .collect();
            assert_eq!(fields, expected, "{kind}");
        };
        check("ConfigMap", json!({}), json!({"k": "1"}), json!({"k": "1"}), &[]);
        check(
            "ConfigMap",
            json!({}),
            json!({"k": "1", "gone": true}),
            json!({"k": "2", "new": {"a": 1}}),
            &[
                "/data/gone Some(\"true\") None",
                "/data/k Some(\"1\") Some(\"2\")",
                "/data/new None Some(\"{\\\"a\\\":1}\")",
            ],
        );
        let masked = "/data/k Some(\"***** (before)\") Some(\"***** (after)\")";
        check("Secret", json!({}), json!({"k": "1"}), json!({"k": "2"}), &[masked]);
        check("Secret", json!({}), json!({}), json!({"k": "2"}), &["/data/k None Some(\"*****\")"]);
        let paths = json!({"supercargo.dev/sensitive-paths": "/data/k"});
        check(
            "Db",
            paths,
            json!({"k": "1", "o": "1"}),
            json!({"k": "2", "o": "2"}),
            &[masked, "/data/o Some(\"1\") Some(\"2\")"],
        );
        let long = "x".repeat(300);
        let cut = format!("/data/k None Some(\"{}… (100 more bytes)\")", "x".repeat(200));
        check("ConfigMap", json!({}), json!({}), json!({"k": long}), &[&cut]);
    }

    #[test]
    fn what_only_the_server_writes_is_no_change() {
        let before = object("ConfigMap", json!({"status": {"x": 1}}));
        let mut after = before.clone();
        after["metadata"]["resourceVersion"] = json!("2");
        after["metadata"]["generation"] = json!(7);
        after["metadata"]["managedFields"] = json!([{"time": "now"}]);
        after["metadata"]["creationTimestamp"] = json!("now");
        after["status"] = json!({"x": 2});
        assert_eq!(changed(Some(&before), &after, None), None);
    }

    #[test]
    fn an_object_of_another_release_is_handed_over() {
        let mut before = object("ConfigMap", json!({}));
        before["metadata"]["labels"] =
            json!({"supercargo.dev/name": "other", "supercargo.dev/namespace": "team"});
        let mut after = before.clone();
        after["metadata"]["labels"]["supercargo.dev/name"] = json!("app");
        let change = changed(Some(&before), &after, None).unwrap();
        assert_eq!(change.action, PlanAction::HandedOver { owner: "team/other".into() });
        // Its own label is none of another release.
        assert_eq!(changed(Some(&after), &before, None).unwrap().action, PlanAction::Configured);
    }

    /// The hash of a plan with one change.
    fn hash(change: Option<PlanChange>) -> String {
        let inputs = PlanInputs { digest: "d".into(), key: "k".into(), prune: true, force: false };
        ChangeSet { changes: change.into_iter().collect() }.hash(&PlanKey::of_salt("x"), &inputs)
    }

    #[test]
    fn the_hash_covers_paths_and_values_but_not_what_is_unstable() {
        let data = |value: &str, random: &str| object("Secret", json!({"data": {"k": value, "r": random}}));
        let of =
            |before: &Value, after: &Value, again: &Value| hash(changed(Some(before), after, Some(again)));
        let old = data("1", "a");
        let plan = of(&old, &data("2", "b"), &data("2", "c"));
        assert_eq!(plan, of(&old, &data("2", "x"), &data("2", "y")), "the random field is not in it");
        assert_ne!(plan, of(&old, &data("3", "b"), &data("3", "c")), "the other value is");
        assert_ne!(plan, of(&data("0", "a"), &data("2", "b"), &data("2", "c")), "and the one before");
        assert_ne!(plan, of(&old, &data("2", "b"), &data("2", "b")), "the field is stable here");
        let shown = changed(Some(&old), &data("2", "b"), Some(&data("2", "c"))).unwrap();
        let unstable: Vec<(&str, bool)> =
            shown.fields.iter().map(|f| (f.path.as_str(), f.is_unstable)).collect();
        assert_eq!(unstable, [("/data/k", false), ("/data/r", true)]);
        let created = |value: &str, one: &str, two: &str| {
            hash(changed(None, &data(value, one), Some(&data(value, two))))
        };
        assert_eq!(created("1", "a", "b"), created("1", "c", "d"));
        // A value that is there only in one of two dry runs.
        let stamped = |stamp: Option<&str>| {
            let annotations = stamp.map_or(json!({}), |stamp| json!({"stamp": stamp}));
            let mut object = data("1", "a");
            object["metadata"]["annotations"] = annotations;
            object
        };
        let sometimes = |one, two| hash(changed(None, &stamped(one), Some(&stamped(two))));
        assert_eq!(sometimes(Some("x"), Some("y")), sometimes(None, Some("z")));
        assert_eq!(sometimes(Some("x"), None), sometimes(None, None), "nothing is left of it");
        assert_ne!(created("1", "a", "b"), created("2", "a", "b"));
    }

    #[test]
    fn a_value_that_was_neither_sent_nor_there_before_is_made_up() {
        let check = |kind: &str, sent: Value, before: Option<Value>, after: Value, expected: bool| {
            let (sent, after) = (object(kind, sent), object(kind, after));
            let before = before.map(|before| object(kind, before));
            let release = ReleaseId { namespace: "team".into(), name: "app".into() };
            let id = id(kind);
            let compared =
                Compared { id: &id, release: &release, before: before.as_ref(), after: &after, again: None };
            assert_eq!(compared.is_made_up(&sent), expected, "{sent} {before:?} {after}");
        };
        check("ConfigMap", json!({"data": {"k": "1"}}), None, json!({"data": {"k": "1"}}), false);
        // What only the API server writes is not compared.
        let status = json!({"data": {"k": "1"}, "status": {"x": 1}});
        check("ConfigMap", json!({"data": {"k": "1"}}), None, status, false);
        let stamped = json!({"data": {"k": "1"}, "stamp": "random"});
        check("ConfigMap", json!({"data": {"k": "1"}}), None, stamped.clone(), true);
        check("ConfigMap", json!({"data": {"k": "1"}}), Some(json!({"stamp": "random"})), stamped, false);
        let service = json!({"spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30000}]}});
        let sent = || json!({"spec": {"ports": [{"port": 80}]}});
        check("Service", sent(), None, service.clone(), true);
        check("Service", sent(), Some(service.clone()), service, false);
        check("Secret", json!({"stringData": {"k": "1"}}), None, json!({"data": {"k": "MQ=="}}), false);
    }

    #[test]
    fn the_hash_covers_the_action_the_uid_and_the_object() {
        let key = &PlanKey::of_salt("x");
        let sent = object("ConfigMap", json!({"data": {"k": "1"}}));
        let release = ReleaseId { namespace: "team".into(), name: "app".into() };
        let (one, other) = (id("ConfigMap"), id("Secret"));
        let compared =
            Compared { id: &one, release: &release, before: Some(&sent), after: &sent, again: None };
        let all = [
            None,
            Some(PlanChange::pruned(key, &one, "u".into(), String::new())),
            Some(PlanChange::pruned(key, &one, "v".into(), String::new())),
            Some(PlanChange::pruned(key, &other, "u".into(), String::new())),
            Some(PlanChange::run(key, &one, &sent)),
            Some(PlanChange::unknown(key, &one, &sent, "later")),
            Some(compared.recreated(key, "u".into())),
            Some(compared.recreated(key, "v".into())),
            Compared { before: None, ..compared }.change(key),
        ];
        let hashes: std::collections::BTreeSet<String> = all.iter().cloned().map(hash).collect();
        assert_eq!(hashes.len(), all.len());
        // Why it is unknown is for people.
        let unknown = |why: &str| hash(Some(PlanChange::unknown(key, &one, &sent, why)));
        assert_eq!(unknown("later"), unknown("another reason"));
    }

    #[test]
    fn the_hash_covers_the_inputs() {
        let base = PlanInputs { digest: "d".into(), key: "k".into(), prune: true, force: false };
        let all = [
            base.clone(),
            PlanInputs { digest: "e".into(), ..base.clone() },
            PlanInputs { key: "l".into(), ..base.clone() },
            PlanInputs { prune: false, ..base.clone() },
            PlanInputs { force: true, ..base.clone() },
        ];
        let hash = |inputs: &PlanInputs| ChangeSet::default().hash(&PlanKey::of_salt("x"), inputs);
        let hashes: std::collections::BTreeSet<String> = all.iter().map(hash).collect();
        assert_eq!(hashes.len(), all.len());
        assert_eq!(hash(&base).len(), 32);
    }
}
