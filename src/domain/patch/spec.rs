//! One patch: its text read and found to make sense, and applied to the objects
//! it means.

use serde_json::{Map, Value};

use super::error::{InvalidPatch, PatchError};
use super::json6902::JsonPatch;
use super::merge::merge;
use super::set::{Member, Name, Set};
use super::target::Target;
use super::tree::{is_deeper, scalar_text, size};
use crate::api::patch;
use crate::domain::manifest::budget::{Budget, MAX_DEPTH};
use crate::domain::manifest::split::split;
use crate::domain::manifest::yaml::{Reading, parse_as};

/// The most patches of one release or file.
pub const MAX_PATCHES: usize = 128;

/// The longest text of one patch, in bytes.
pub const MAX_PATCH_BYTES: usize = 64 << 10;

/// What the text of a patch may come to, in bytes: an estimate.
const MAX_DECODED: u64 = 16 << 20;

/// A patch and the objects it is for.
#[derive(Clone, Debug)]
pub struct Patch {
    /// Where it stands, for messages.
    field: String,
    content: Content,
    target: Option<Target>,
    change: Change,
    /// References follow names that the patch changes.
    follow: bool,
    /// A strategic merge without target is fitted to its object as one with
    /// a target: `patchesStrategicMerge`.
    fitted: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Strategic(Vec<Value>),
    Json(JsonPatch),
}

/// What a strategic merge may change besides.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    name: bool,
    kind: bool,
}

impl Patch {
    /// Reads the patches of a list. `field` names it for messages.
    ///
    /// # Errors
    /// The patch that makes no sense.
    pub fn parse_all(field: &str, patches: &[patch::Patch]) -> Result<Vec<Self>, InvalidPatch> {
        if patches.len() > MAX_PATCHES {
            return Err(InvalidPatch::new(field, format!("at most {MAX_PATCHES} patches can be given")));
        }
        let parse = |(index, patch)| Self::parse(format!("{field}[{index}]"), patch);
        patches.iter().enumerate().map(parse).collect()
    }

    fn parse(field: String, patch: &patch::Patch) -> Result<Self, InvalidPatch> {
        let target = patch.target.as_ref().map(Target::parse).transpose();
        let target = target.map_err(|why| InvalidPatch::new(format!("{field}.target"), why))?;
        let invalid = |why: String| InvalidPatch::new(format!("{field}.patch"), why);
        let content = read(patch.patch.trim()).map_err(invalid)?;
        match (&content, &target) {
            (Content::Json(_), None) => {
                return Err(InvalidPatch::new(field, "a JSON patch needs a target: add the field target"));
            }
            (Content::Strategic(documents), Some(_)) if documents.len() > 1 => {
                let why = "with a target, the text can hold one document only; make each a patch of its own";
                return Err(invalid(why.into()));
            }
            _ => {}
        }
        let options = patch.options.clone().unwrap_or_default();
        let change = Change { name: options.allow_name_change, kind: options.allow_kind_change };
        Ok(Self { field, content, target, change, follow: true, fitted: false })
    }

    pub(super) fn strategic(field: String, text: &str) -> Result<Self, InvalidPatch> {
        let content = read(text).map_err(|why| InvalidPatch::new(field.clone(), why))?;
        match content {
            Content::Strategic(_) => {
                let change = Change::default();
                Ok(Self { field, content, target: None, change, follow: true, fitted: true })
            }
            Content::Json(_) => Err(InvalidPatch::new(field, "it is not a strategic merge patch")),
        }
    }

    /// What stands in `patchesJson6902` is no strategic merge, and its target
    /// has a name.
    pub(super) fn demand_json(&self, field: String) -> Result<(), InvalidPatch> {
        match (&self.content, &self.target) {
            (Content::Strategic(_), _) => {
                Err(InvalidPatch::new(field, "it is not a JSON patch; strategic merges stand in patches"))
            }
            (Content::Json(_), Some(target)) if !target.has_name() => {
                Err(InvalidPatch::new(field, "the target needs a name; in patches it does not"))
            }
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
    /// The object and the place that it does not fit.
    pub fn apply(&self, set: &mut Set) -> Result<(), PatchError> {
        self.try_apply(set).map_err(|problem| PatchError::new(&self.field, problem))
    }

    fn try_apply(&self, set: &mut Set) -> Result<(), String> {
        match (&self.content, &self.target) {
            (Content::Json(patch), Some(target)) => apply_json(set, target, patch, self.follow),
            (Content::Strategic(documents), Some(target)) => {
                for document in documents {
                    let chosen = |member: &Member| member.selected_by(target);
                    apply_strategic(set, document, self.change, true, chosen)?;
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

fn no_two(set: &Set) -> Result<(), String> {
    match set.twice() {
        Some(name) => Err(format!("there are two objects {name} now")),
        None => Ok(()),
    }
}

fn read(text: &str) -> Result<Content, String> {
    if text.len() > MAX_PATCH_BYTES {
        return Err(format!("the patch is longer than {MAX_PATCH_BYTES} bytes"));
    }
    let documents = documents(text, true)?;
    match documents.as_slice() {
        [] => Err("the patch is empty".into()),
        [Value::Array(_)] => {
            let documents = self::documents(text, false)?;
            JsonPatch::parse(documents.first().unwrap_or(&Value::Null)).map(Content::Json)
        }
        _ => {
            let mut patches = Vec::new();
            documents.into_iter().try_for_each(|document| add_document(document, &mut patches))?;
            Ok(Content::Strategic(patches))
        }
    }
}

fn documents(text: &str, words_are_texts: bool) -> Result<Vec<Value>, String> {
    let mut budget = Budget::new(MAX_DECODED);
    let mut documents = Vec::new();
    for chunk in split(text.as_bytes()) {
        if let Some(line) = chunk.bad_separator {
            return Err(format!("line {line}: something stands behind the separator `---`"));
        }
        let Some(chunk_text) = chunk.text() else { continue };
        let open_end = text.as_bytes().ends_with(chunk.bytes) && !text.ends_with('\n');
        let reading = Reading { words_are_texts, open_end };
        let parsed = parse_as(&chunk_text, reading, &mut budget).map_err(|problems| {
            problems.first().map_or_else(String::new, |problem| {
                format!("line {}: {}", chunk.first_line + problem.line - 1, problem.message)
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
        let why = "metadata.name is missing or is not a string; with a target, any name will do";
        return Err(why.into());
    }
    patches.push(document);
    Ok(())
}

fn apply_by_name(set: &mut Set, patch: &Value, change: Change, fitted: bool) -> Result<(), String> {
    let text = |pointer: &str| patch.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name =
        Name::new(text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    let found = set.named(&name);
    let [place] = found[..] else {
        let count = if found.is_empty() { "no object" } else { "more than one object" };
        let version = [name.group.as_str(), &name.version].join("/");
        let version = version.trim_start_matches('/');
        return Err(format!(
            "{count} is called {name} of version {version:?}, as the patch says; \
             write its apiVersion, kind, name and namespace, or add a target"
        ));
    };
    let index = set.members.get(place).map(|member| member.index);
    apply_strategic(set, patch, change, fitted, |member| Some(member.index) == index)
}

fn apply_strategic(
    set: &mut Set,
    patch: &Value,
    change: Change,
    targeted: bool,
    chosen: impl Fn(&Member) -> bool,
) -> Result<(), String> {
    let cost = size(patch);
    let members = std::mem::take(&mut set.members);
    for mut member in members {
        if !chosen(&member) {
            set.members.push(member);
            continue;
        }
        if !set.budget.spend(cost) {
            return Err(format!("{}: the patches add too much", member.current()));
        }
        if change.name || change.kind {
            member.remember();
        }
        let patch = if targeted { fitted(patch, &member) } else { patch.clone() };
        if let Some(member) = merged(member, patch, change)? {
            set.members.push(member);
        }
    }
    Ok(())
}

/// A patch with a target is for objects of other versions and names, too. As in
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

fn merged(mut member: Member, patch: Value, change: Change) -> Result<Option<Member>, String> {
    let named = member.current();
    let (kind, name) = (member.object.kind().to_owned(), member.object.name().to_owned());
    let namespace = member.object.namespace().to_owned();
    let object = member.object.value().clone();
    let Some(mut value) = merge(object, patch).map_err(|why| format!("{named}: {why}"))? else {
        return Ok(None);
    };
    if is_nothing(&value) {
        return Ok(None);
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
    Ok(Some(member))
}

fn apply_json(set: &mut Set, target: &Target, patch: &JsonPatch, follow: bool) -> Result<(), String> {
    let Set { members, budget } = set;
    for member in members.iter_mut().filter(|member| member.selected_by(target)) {
        let named = member.current();
        if follow {
            member.remember();
        }
        let mut value = member.object.value().clone();
        patch.apply(&mut value, budget).map_err(|why| format!("{named}: {why}"))?;
        if is_deeper(&value, MAX_DEPTH) {
            return Err(format!("{named}: the result is nested deeper than {MAX_DEPTH} levels"));
        }
        if !budget.spend(64) {
            return Err(format!("{named}: the patches add too much"));
        }
        let empty = |value: &Value| is_nothing(value);
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
            && metadata.get("annotations").is_some_and(empty)
        {
            metadata.remove("annotations");
        }
        member.become_value(value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(patch: Value) -> Result<Patch, InvalidPatch> {
        let patch: patch::Patch = serde_json::from_value(patch).unwrap();
        Patch::parse_all("patches", &[patch]).map(|mut patches| patches.remove(0))
    }

    fn set() -> Set {
        let object = |kind: &str, name: &str| {
            let metadata = json!({"name": name, "namespace": "n", "labels": {"app": name}});
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"a": "b"}})
        };
        Set::new([object("ConfigMap", "one"), object("ConfigMap", "two")].map(|o| Object::new(o).unwrap()))
    }

    use crate::domain::object::Object;

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
            "patches[0].patch: metadata.name is missing or is not a string; with a target, any name will do",
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
            "patches[0].target: kind: \"[\" is not a regular expression",
        );
        let document = "kind: A\nmetadata: {name: a}\n";
        check(
            json!({"patch": format!("{document}---\n{document}"), "target": {}}),
            "patches[0].patch: with a target, the text can hold one document only; make each a patch of its own",
        );
        check(
            json!({"patch": " ".repeat(10) + &"#".repeat(65537)}),
            "patches[0].patch: the patch is longer than 65536 bytes",
        );
        let many = vec![patch::Patch::default(); MAX_PATCHES + 1];
        let error = Patch::parse_all("patches", &many).unwrap_err().to_string();
        assert_eq!(error, "patches: at most 128 patches can be given");
    }

    #[test]
    fn patches_that_do_not_apply_name_object_and_place() {
        let check = |patch: Value, expected: &str| {
            let error = parse(patch).unwrap().apply(&mut set()).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.reason().as_str()), (expected, "PatchFailed"));
        };
        check(
            json!({"patch": "[{op: remove, path: /data/x}]", "target": {"name": "two"}}),
            "patches[0]: ConfigMap/n/two: operation 0 (remove /data/x): there is no such field",
        );
        check(
            json!({"patch": "[{op: remove, path: /metadata/name}]", "target": {"name": "two"}}),
            "patches[0]: ConfigMap/n/two: the result is no manifest: metadata.name is missing or is not a string",
        );
        check(
            json!({"patch": "{kind: X, metadata: {name: x}, data: []}", "target": {"labelSelector": "app=one"}}),
            "patches[0]: ConfigMap/n/one: at data: a mapping in the object and a list in the patch",
        );
        check(
            json!({"patch": "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}"}),
            "patches[0]: no object is called ConfigMap/default/one of version \"v1\", as the patch says; \
             write its apiVersion, kind, name and namespace, or add a target",
        );
        check(
            json!({"patch": "{kind: X, metadata: {name: x}}", "target": {}, "options": {"allowNameChange": true}}),
            "patches[0]: there are two objects ConfigMap/n/x now",
        );
    }

    #[test]
    fn what_patches_add_has_a_limit() {
        let patch =
            parse(json!({"patch": "{kind: X, metadata: {name: x}, data: {b: c}}", "target": {}})).unwrap();
        let mut set = Set { budget: Budget::new(1000), ..set() };
        let error = patch.apply(&mut set).unwrap_err().to_string();
        assert_eq!(error, "patches[0]: ConfigMap/n/two: the patches add too much");
    }
}
