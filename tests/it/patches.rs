//! What patch files do to objects, against what `kubectl kustomize` does with
//! the same kustomization: expected.json is written by the program in
//! tests/fixtures/patches/oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Number, Value};
use supercargo::domain::manifest::decode::decode;
use supercargo::domain::object::Object;
use supercargo::domain::patch::file::PatchFile;

/// What kubectl made of a case.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    output: String,
    error: Option<String>,
}

/// Cases that only we refuse, because kustomize does something else than what
/// was asked for, or makes what no API server takes.
const ONLY_WE_REFUSE: &[&str] = &[
    // The value is taken for null.
    "json_add_without_value",
    // What is not there is copied as null.
    "json_copy_missing",
    // A label that is no text.
    "json_label_no_text",
    // `spec/replicas` sets `replicas` at the top of the object.
    "json_path_without_slash",
    // Only the first document is read.
    "json_second_document",
    // An operation is looked at only when there is an object for it.
    "json_unknown_op_unused",
    // A patch without content does nothing.
    "smp_comment_only",
    // An element without the key that the list merges by empties the list.
    "smp_container_without_name",
    "smp_element_no_mapping",
    "smp_lists_of_lists",
    "smp_null_name",
    // `$patch: replace` at the top of a patch does nothing.
    "smp_whole_object_replaced",
];

/// Cases that only kustomize refuses.
const ONLY_KUSTOMIZE_REFUSES: &[&str] = &[
    // Custom resources may have lists named `containers`, and fields named
    // `template`, that have nothing to do with pods.
    "image_list_of_texts",
    "image_template_is_text",
    // What begins with a bracket is read as JSON.
    "json_flow_yaml",
];

/// Cases with another result, because objects come here without the spelling
/// of their values.
const DIFFERENT: &[&str] = &[
    // kustomize keeps `a: null` of an object and drops `a:`.
    "smp_empty_null_in_object",
    // A number put where a text in needless quotes stood becomes a text.
    "smp_quoted_text_by_number",
];

/// For a comparison by hand, another directory of cases and answers.
fn fixtures() -> PathBuf {
    if let Ok(directory) = std::env::var("SUPERCARGO_PATCH_CASES") {
        return directory.into();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/patches")
}

fn objects(name: &str, text: &str) -> Vec<Object> {
    let decoded = decode(name, text.as_bytes());
    assert!(decoded.is_ok(), "{name}: {decoded:?}");
    let decoded = decoded.unwrap_or_default();
    decoded.into_iter().map(|decoded| decoded.object).collect()
}

/// Numbers as the API server reads them: an int64 or a float.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
        },
        Value::Array(values) => values.iter().map(normal).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), normal(value))).collect(),
        other => other.clone(),
    }
}

fn apply(name: &str, head: &str, text: &str) -> Result<Vec<Value>, String> {
    let file = PatchFile::parse(name, head.as_bytes()).map_err(|error| error.to_string())?;
    let mut objects = objects(name, text);
    file.apply(&mut objects).map_err(|error| error.to_string())?;
    Ok(objects.iter().map(|object| normal(object.value())).collect())
}

/// The places in which two values differ.
fn differing(path: &str, found: &Value, expected: &Value, places: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or("(nothing)".into());
                differing(&format!("{path}/{key}"), &of(a), &of(b), places);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differing(&format!("{path}/{index}"), a, b, places);
            }
        }
        _ if found != expected => places.push(format!("{path}: we {found}, kustomize {expected}")),
        _ => {}
    }
}

/// Says in what the two differ, if they do.
fn compare(name: &str, answer: &Answer, found: Result<Vec<Value>, String>) -> Option<String> {
    if DIFFERENT.contains(&name) {
        let expected: Vec<Value> = objects(name, &answer.output).iter().map(|o| normal(o.value())).collect();
        return (found == Ok(expected)).then(|| format!("{name}: is equal now, take it out of DIFFERENT"));
    }
    match (found, &answer.error) {
        (Err(_), Some(_)) => None,
        (Err(_), None) if ONLY_WE_REFUSE.contains(&name) => None,
        (Ok(_), None) if ONLY_WE_REFUSE.contains(&name) => Some(format!("{name}: we do not refuse it")),
        (Err(why), None) => Some(format!("{name}: we refuse it: {why}")),
        (Ok(_), Some(_)) if ONLY_KUSTOMIZE_REFUSES.contains(&name) => None,
        (Ok(found), Some(error)) => {
            Some(format!("{name}: kustomize refuses it: {error}\n  we make {found:?}"))
        }
        (Ok(found), None) => {
            let expected: Vec<Value> =
                objects(name, &answer.output).iter().map(|o| normal(o.value())).collect();
            let mut places = Vec::new();
            differing("", &found.into(), &expected.into(), &mut places);
            (!places.is_empty()).then(|| format!("{name}:\n  {}", places.join("\n  ")))
        }
    }
}

/// A patch of directives/, as an entry of `patches`.
fn as_patch_file(patch: &str) -> String {
    serde_json::json!({"patches": [{"patch": patch}]}).to_string()
}

#[test]
fn directives_that_kustomize_does_not_know_do_as_kubectl_does() {
    let expected = std::fs::read(fixtures().join("directives.json")).unwrap();
    let answers: BTreeMap<String, Answer> = serde_json::from_slice(&expected).unwrap();
    let mut differences = Vec::new();
    for (name, answer) in &answers {
        let case = std::fs::read_to_string(fixtures().join(format!("directives/{name}.yaml"))).unwrap();
        let (patch, text) = case.split_once("\n---\n").unwrap();
        differences.extend(compare(name, answer, apply(name, &as_patch_file(patch), text)));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let cases = std::fs::read_dir(fixtures().join("directives")).unwrap().count();
    assert_eq!(cases, answers.len(), "directives.json is stale");
}

#[test]
fn objects_are_patched_as_kustomize_patches_them() {
    let expected = std::fs::read(fixtures().join("expected.json")).unwrap();
    let answers: BTreeMap<String, Answer> = serde_json::from_slice(&expected).unwrap();
    let mut differences = Vec::new();
    for (name, answer) in &answers {
        let case = std::fs::read_to_string(fixtures().join(format!("cases/{name}.yaml"))).unwrap();
        let (head, text) = case.split_once("\n---\n").unwrap();
        differences.extend(compare(name, answer, apply(name, head, text)));
    }
    assert!(differences.is_empty(), "{} of {}\n{}", differences.len(), answers.len(), differences.join("\n"));
    let cases = std::fs::read_dir(fixtures().join("cases")).unwrap().count();
    assert_eq!(cases, answers.len(), "expected.json is stale");
    assert!(cases >= 150, "only {cases} cases");
}
