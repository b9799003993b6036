//! One patch: its text is parsed and validated, and applied to the objects that it
//! selects.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::allowance::Allowance;
use super::error::{InvalidPatch, PatchError};
use super::json6902::JsonPatch;
use super::name::Name;
use super::selection::target::PatchTarget;
use super::set::{Member, Set};
use super::steps::{LOOK, spend};
use super::strategic::merge::merge;
use super::value::{is_deeper, scalar_text, size};
use crate::api::patch;
use crate::domain::manifest::budget::{Budget, MAX_DEPTH};
use crate::domain::manifest::split::split;
use crate::domain::manifest::yaml::{Reading, parse_as};

/// The most patches of one release or file.
pub const MAX_PATCHES: usize = 128;

/// The longest text of one patch, in bytes.
pub const MAX_PATCH_BYTES: usize = 64 << 10;

/// How much slower a merge of an object is than a copy.
const MERGE: u64 = 4;

/// A patch and the objects it is for.
#[derive(Clone, Debug)]
pub struct ParsedPatch {
    /// The field that contains it, for messages.
    field: String,
    /// Shared, because every render has its own copy of the patches.
    content: Arc<Content>,
    target: Option<PatchTarget>,
    change: Change,
    /// References follow names that the patch changes.
    follow: bool,
    /// A strategic merge without target is adapted to its object like one with a
    /// target: `patchesStrategicMerge`.
    fitted: bool,
}

#[derive(Debug)]
enum Content {
    Strategic(Vec<Value>),
    Json(JsonPatch),
}

/// What a strategic merge may change in addition.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    name: bool,
    kind: bool,
}

impl ParsedPatch {
    /// Reads the patches of a list. `field` names it for messages. What they use is
    /// subtracted from the allowance.
    ///
    /// # Errors
    /// The invalid patch.
    pub fn parse_all(
        field: &str,
        patches: &[patch::Patch],
        allowance: &mut Allowance,
    ) -> Result<Vec<Self>, InvalidPatch> {
        if patches.len() > MAX_PATCHES {
            return Err(InvalidPatch::new(field, format!("at most {MAX_PATCHES} patches are allowed")));
        }
        let parse = |(index, patch)| Self::parse(format!("{field}[{index}]"), patch, allowance);
        patches.iter().enumerate().map(parse).collect()
    }

    fn parse(field: String, patch: &patch::Patch, allowance: &mut Allowance) -> Result<Self, InvalidPatch> {
        let target = patch.target.as_ref().map(|target| PatchTarget::parse(target, allowance)).transpose();
        let target = target.map_err(|why| InvalidPatch::new(format!("{field}.target"), why))?;
        let invalid = |why: String| InvalidPatch::new(format!("{field}.patch"), why);
        let content = read(patch.patch.trim(), &mut allowance.decoded).map_err(invalid)?;
        match (&content, &target) {
            (Content::Json(_), None) => {
                return Err(InvalidPatch::new(field, "a JSON patch needs a target: add the field target"));
            }
            (Content::Strategic(documents), Some(_)) if documents.len() > 1 => {
                let why = "a patch with a target can have only one document; use one patch for each document";
                return Err(invalid(why.into()));
            }
            _ => {}
        }
        let options = patch.options.clone().unwrap_or_default();
        let change = Change { name: options.allow_name_change, kind: options.allow_kind_change };
        let content = Arc::new(content);
        Ok(Self { field, content, target, change, follow: true, fitted: false })
    }

    pub(super) fn strategic(
        field: String,
        text: &str,
        allowance: &mut Allowance,
    ) -> Result<Self, InvalidPatch> {
        let content =
            read(text, &mut allowance.decoded).map_err(|why| InvalidPatch::new(field.clone(), why))?;
        match content {
            Content::Strategic(_) => {
                let change = Change::default();
                let content = Arc::new(content);
                Ok(Self { field, content, target: None, change, follow: true, fitted: true })
            }
            Content::Json(_) => Err(InvalidPatch::new(field, "it is not a strategic merge patch")),
        }
    }

    /// Checks a patch of `patchesJson6902`: it is not a strategic merge, and its
    /// target has a name.
    pub(super) fn demand_json(&self, field: String) -> Result<(), InvalidPatch> {
        match (&*self.content, &self.target) {
            (Content::Strategic(_), _) => Err(InvalidPatch::new(
                field,
                "it is not a JSON patch; move strategic merge patches to the field patches",
            )),
            (Content::Json(_), Some(target)) if !target.has_name() => Err(InvalidPatch::new(
                field,
                "the target needs a name here; it is optional in the field patches",
            )),
            (Content::Json(_), _) => Ok(()),
        }
    }

    /// As kustomize does it for `patchesJson6902`: references do not follow the
    /// names that the patch changes.
    pub(super) fn without_following(mut self) -> Self {
        self.follow = false;
        self
    }

    /// Applies the patch.
    ///
    /// # Errors
    /// The object and the place where it does not fit.
    pub fn apply(&self, set: &mut Set) -> Result<(), PatchError> {
        self.try_apply(set).map_err(|problem| PatchError::new(&self.field, problem))
    }

    fn try_apply(&self, set: &mut Set) -> Result<(), String> {
        match (&*self.content, &self.target) {
            (Content::Json(patch), Some(target)) => apply_json(set, target, patch, self.follow),
            (Content::Strategic(documents), Some(target)) => {
                for document in documents {
                    let places = set.selected(target)?;
                    apply_strategic(set, document, self.change, true, &places)?;
                }
                no_two(set)
            }
            (Content::Strategic(documents), None) => documents.iter().try_for_each(|document| {
                apply_by_name(set, document, self.change, self.fitted)?;
                if self.fitted { no_two(set) } else { Ok(()) }
            }),
            (Content::Json(_), None) => Ok(()),
        }
    }
}

fn no_two(set: &mut Set) -> Result<(), String> {
    spend(&mut set.steps, LOOK * set.members.len() as u64)?;
    match set.twice() {
        Some(name) => Err(format!("the result has two objects {name}")),
        None => Ok(()),
    }
}

fn read(text: &str, budget: &mut Budget) -> Result<Content, String> {
    if text.len() > MAX_PATCH_BYTES {
        return Err(format!("the patch is longer than {MAX_PATCH_BYTES} bytes"));
    }
    let documents = documents(text, true, budget)?;
    match documents.as_slice() {
        [] => Err("the patch is empty".into()),
        [Value::Array(_)] => {
            let documents = self::documents(text, false, budget)?;
            JsonPatch::parse(documents.first().unwrap_or(&Value::Null)).map(Content::Json)
        }
        _ => {
            let mut patches = Vec::new();
            documents.into_iter().try_for_each(|document| add_document(document, &mut patches))?;
            Ok(Content::Strategic(patches))
        }
    }
}

fn documents(text: &str, words_are_texts: bool, budget: &mut Budget) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    for chunk in split(text.as_bytes()) {
        if let Some(line) = chunk.bad_separator {
            return Err(format!("line {line}: text after the separator `---`"));
        }
        let Some(chunk_text) = chunk.text() else { continue };
        let open_end = text.as_bytes().ends_with(chunk.bytes) && !text.ends_with('\n');
        let reading = Reading { words_are_texts, open_end };
        let parsed = parse_as(&chunk_text, reading, budget).map_err(|problems| {
            problems.first().map_or_else(String::new, |problem| match problem.too_large {
                true => "the decoded patches, including their aliases, are too large".into(),
                false => format!("line {}: {}", chunk.first_line + problem.line - 1, problem.message),
            })
        })?;
        documents.extend(parsed.into_iter().filter(|value| !is_nothing(value)));
    }
    Ok(documents)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// A strategic merge patch looks like the object that it is for.
fn add_document(document: Value, patches: &mut Vec<Value>) -> Result<(), String> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if !document.is_object() {
        let why =
            "the patch is neither a list of JSON patch operations nor a mapping with kind and metadata.name";
        return Err(why.into());
    }
    if text("/kind").is_empty() {
        return Err("kind is missing or is not a string".into());
    }
    if text("/kind").ends_with("List")
        && let Some(items) = document.get("items")
    {
        return match items {
            Value::Array(items) => items.iter().try_for_each(|item| add_document(item.clone(), patches)),
            Value::Null => Ok(()),
            _ => Err("items is not a list".into()),
        };
    }
    if text("/metadata/name").is_empty() {
        let why = "metadata.name is missing or is not a string; if the patch has a target, any name works";
        return Err(why.into());
    }
    patches.push(document);
    Ok(())
}

fn apply_by_name(set: &mut Set, patch: &Value, change: Change, fitted: bool) -> Result<(), String> {
    let text = |pointer: &str| patch.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name =
        Name::new(text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    let found = set.named(&name)?;
    let [place] = found[..] else {
        let count = if found.is_empty() { "no object" } else { "more than one object" };
        let version = [name.group.as_str(), &name.version].join("/");
        let version = version.trim_start_matches('/');
        return Err(format!(
            "{count} matches {name} of version {version:?}; correct apiVersion, kind, name and namespace in \
             the patch, or add a target"
        ));
    };
    apply_strategic(set, patch, change, fitted, &[place])
}

fn apply_strategic(
    set: &mut Set,
    patch: &Value,
    change: Change,
    targeted: bool,
    places: &[usize],
) -> Result<(), String> {
    let cost = size(patch);
    let mut deleted = HashSet::new();
    for &place in places {
        let Some(member) = set.members.get_mut(place) else { continue };
        if !set.budget.spend(cost) {
            return Err(format!("{}: the patches add too much data", member.current()));
        }
        spend(&mut set.steps, MERGE * (cost + size(member.object.value())))?;
        if change.name || change.kind {
            member.remember();
        }
        let patch = if targeted { fitted(patch, member) } else { patch.clone() };
        if merge_into(member, patch, change)? {
            set.note(place);
        } else {
            deleted.insert(place);
        }
    }
    set.remove(&deleted)
}

/// A patch with a target can be for objects of other versions and names. As in
/// kustomize, its labels and annotations become texts, also `null`.
fn fitted(patch: &Value, member: &Member) -> Value {
    let mut patch = patch.clone();
    if let Some(fields) = patch.as_object_mut() {
        fields.insert("apiVersion".into(), member.object.api_version().into());
    }
    let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) else { return patch };
    for field in ["labels", "annotations"] {
        let Some(value) = metadata.remove(field) else { continue };
        let Value::Object(entries) = value else { continue };
        let text = |value: &Value| {
            if value.is_object() || value.is_array() { String::new() } else { scalar_text(value) }
        };
        let entries: Map<_, _> =
            entries.iter().map(|(key, value)| (key.clone(), text(value).into())).collect();
        if !entries.is_empty() {
            metadata.insert(field.into(), entries.into());
        }
    }
    patch
}

/// `false` when the patch deletes the object.
fn merge_into(member: &mut Member, patch: Value, change: Change) -> Result<bool, String> {
    let named = member.current();
    let (kind, name) = (member.object.kind().to_owned(), member.object.name().to_owned());
    let namespace = member.object.namespace().to_owned();
    let object = member.object.value().clone();
    let Some(mut value) = merge(object, patch).map_err(|why| format!("{named}: {why}"))? else {
        return Ok(false);
    };
    if is_nothing(&value) {
        return Ok(false);
    }
    if let Some(fields) = value.as_object_mut() {
        if !change.kind {
            fields.insert("kind".into(), kind.into());
        }
        let metadata = fields.entry("metadata").or_insert_with(|| Map::new().into());
        if let Some(metadata) = metadata.as_object_mut() {
            if !change.name {
                metadata.insert("name".into(), name.into());
            }
            if namespace.is_empty() {
                metadata.remove("namespace");
            } else {
                metadata.insert("namespace".into(), namespace.into());
            }
        }
    }
    member.become_value(value)?;
    Ok(true)
}

fn apply_json(set: &mut Set, target: &PatchTarget, patch: &JsonPatch, follow: bool) -> Result<(), String> {
    for place in set.selected(target)? {
        let Set { members, budget, steps, .. } = &mut *set;
        let Some(member) = members.get_mut(place) else { continue };
        spend(steps, size(member.object.value()))?;
        let named = member.current();
        if follow {
            member.remember();
        }
        let mut value = member.object.value().clone();
        patch.apply(&mut value, budget, steps).map_err(|why| format!("{named}: {why}"))?;
        if is_deeper(&value, MAX_DEPTH) {
            return Err(format!("{named}: the result is nested deeper than {MAX_DEPTH} levels"));
        }
        if !budget.spend(64) {
            return Err(format!("{named}: the patches add too much data"));
        }
        let empty = |value: &Value| is_nothing(value);
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
            && metadata.get("annotations").is_some_and(empty)
        {
            metadata.remove("annotations");
        }
        member.become_value(value)?;
        set.note(place);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::steps::MAX_STEPS;
    use super::*;
    use serde_json::json;

    fn parse(patch: Value) -> Result<ParsedPatch, InvalidPatch> {
        let patch: patch::Patch = serde_json::from_value(patch).unwrap();
        ParsedPatch::parse_all("patches", &[patch], &mut Allowance::default())
            .map(|mut patches| patches.remove(0))
    }

    fn set() -> Set {
        let object = |kind: &str, name: &str| {
            let metadata = json!({"name": name, "namespace": "n", "labels": {"app": name}});
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"a": "b"}})
        };
        Set::new([object("ConfigMap", "one"), object("ConfigMap", "two")].map(|o| Object::new(o).unwrap()))
    }

    use crate::domain::objects::object::Object;

    #[test]
    fn patches_that_make_no_sense_are_named() {
        let check = |patch: Value, expected: &str| {
            assert_eq!(parse(patch).unwrap_err().to_string(), expected);
        };
        check(json!({"patch": " "}), "patches[0].patch: the patch is empty");
        check(
            json!({"patch": "a: [b"}),
            "patches[0].patch: line 2: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence",
        );
        check(
            json!({"patch": "kind: A"}),
            "patches[0].patch: metadata.name is missing or is not a string; if the patch has a target, any \
             name works",
        );
        check(
            json!({"patch": "metadata: {name: a}"}),
            "patches[0].patch: kind is missing or is not a string",
        );
        check(
            json!({"patch": "5"}),
            "patches[0].patch: the patch is neither a list of JSON patch operations nor a mapping with kind and metadata.name",
        );
        check(json!({"patch": "[]"}), "patches[0]: a JSON patch needs a target: add the field target");
        check(
            json!({"patch": "[]", "target": {"kind": "["}}),
            "patches[0].target: kind: \"[\" is not a valid regular expression, or is too large",
        );
        let document = "kind: A\nmetadata: {name: a}\n";
        check(
            json!({"patch": format!("{document}---\n{document}"), "target": {}}),
            "patches[0].patch: a patch with a target can have only one document; use one patch for each document",
        );
        check(
            json!({"patch": " ".repeat(10) + &"#".repeat(65537)}),
            "patches[0].patch: the patch is longer than 65536 bytes",
        );
        let many = vec![patch::Patch::default(); MAX_PATCHES + 1];
        let error =
            ParsedPatch::parse_all("patches", &many, &mut Allowance::default()).unwrap_err().to_string();
        assert_eq!(error, "patches: at most 128 patches are allowed");
    }

    #[test]
    fn patches_that_do_not_apply_name_object_and_place() {
        let check = |patch: Value, expected: &str| {
            let error = parse(patch).unwrap().apply(&mut set()).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.reason().as_str()), (expected, "PatchFailed"));
        };
        check(
            json!({"patch": "[{op: remove, path: /data/x}]", "target": {"name": "two"}}),
            "patches[0]: ConfigMap/n/two: operation 0 (remove /data/x): the field does not exist",
        );
        check(
            json!({"patch": "[{op: remove, path: /metadata/name}]", "target": {"name": "two"}}),
            "patches[0]: ConfigMap/n/two: the result is not a valid manifest: metadata.name is missing or is \
             not a string",
        );
        check(
            json!({"patch": "{kind: X, metadata: {name: x}, data: []}", "target": {"labelSelector": "app=one"}}),
            "patches[0]: ConfigMap/n/one: at data: it is a mapping in the object, but a list in the patch",
        );
        check(
            json!({"patch": "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}"}),
            "patches[0]: no object matches ConfigMap/default/one of version \"v1\"; correct apiVersion, kind, \
             name and namespace in the patch, or add a target",
        );
        check(
            json!({"patch": "{kind: X, metadata: {name: x}}", "target": {}, "options": {"allowNameChange": true}}),
            "patches[0]: the result has two objects ConfigMap/n/x",
        );
    }

    #[test]
    fn what_patches_add_has_a_limit() {
        let patch =
            parse(json!({"patch": "{kind: X, metadata: {name: x}, data: {b: c}}", "target": {}})).unwrap();
        let mut set = Set { budget: Budget::new(1000), ..set() };
        let error = patch.apply(&mut set).unwrap_err().to_string();
        assert_eq!(error, "patches[0]: ConfigMap/n/two: the patches add too much data");
    }

    #[test]
    fn what_patches_look_at_has_a_limit() {
        let check = |patch: Value, steps: u64| {
            let patch = parse(patch).unwrap();
            assert_eq!(patch.apply(&mut set()), Ok(()));
            let error = patch.apply(&mut Set { steps: Budget::new(steps), ..set() }).unwrap_err();
            let expected = "the patches and images are too expensive for so many objects; use fewer, select \
                            objects by name, or split the artifact";
            assert!(error.to_string().ends_with(expected), "{error}");
        };
        let none = json!({"name": "[a-z]{200}"});
        check(json!({"patch": "[{op: remove, path: /data/a}]", "target": none}), 3000);
        check(json!({"patch": "{kind: X, metadata: {name: x}, data: {b: c}}", "target": {}}), 2000);
        let named = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: n}, data: {b: c}}";
        check(json!({"patch": named}), 1000);
        let tests = vec![json!({"op": "test", "path": "/data/a", "value": "b"}); 1000];
        check(json!({"patch": Value::from(tests).to_string(), "target": {"kind": "ConfigMap"}}), 100_000);
    }

    #[test]
    fn one_object_of_many_is_found_by_its_name() {
        let object = |n: usize| {
            let metadata = json!({"name": format!("c{n}"), "namespace": "n"});
            Object::new(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).unwrap()
        };
        let patch = |name: &str, more: &str| {
            let text = format!(
                "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: n}}, {more}}}"
            );
            parse(json!({"patch": text})).unwrap()
        };
        let mut set = Set { steps: Budget::new(1_000_000), ..Set::new((0..2000).map(object)) };
        for n in 0..100 {
            patch(&format!("c{n}"), "data: {a: b}").apply(&mut set).unwrap();
        }
        patch("c1", "$patch: delete").apply(&mut set).unwrap();
        assert!(patch("c1", "data: {}").apply(&mut set).unwrap_err().to_string().contains("no object"));
        let rename = r#"[{"op": "replace", "path": "/metadata/name", "value": "new"}]"#;
        let rename = json!({"patch": rename, "target": {"kind": "ConfigMap", "name": "c2"}});
        let mut set = Set { steps: Budget::new(MAX_STEPS), ..set };
        parse(rename).unwrap().apply(&mut set).unwrap();
        patch("new", "data: {by: new}").apply(&mut set).unwrap();
        patch("c2", "data: {by: old}").apply(&mut set).unwrap();
        let objects = set.into_objects();
        assert_eq!(objects.len(), 1999);
        let data = |place: usize| objects[place].1.value().pointer("/data/by").cloned();
        assert_eq!((data(0), data(1)), (None, Some(json!("old"))));
    }

    #[test]
    fn aliases_of_all_patches_together_hit_a_limit() {
        let aliases = vec!["*x"; 400].join(", ");
        let text = format!("{{kind: A, metadata: {{name: &x a{}}}, z: [{aliases}]}}", "a".repeat(2_000));
        let patch = patch::Patch { patch: text, ..patch::Patch::default() };
        let error =
            ParsedPatch::parse_all("patches", &vec![patch; 128], &mut Allowance::default()).unwrap_err();
        assert!(
            error.problem.contains("the decoded patches, including their aliases, are too large"),
            "{error}"
        );
        assert_ne!(error.field, "patches[0].patch");
    }
}
