//! What the decoder reads in tests/fixtures/yaml/cases, against what kubectl
//! reads there: expected.json is written by the program in tests/fixtures/yaml/oracle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use supercargo::domain::manifest::budget::Budget;
use supercargo::domain::manifest::split::split;
use supercargo::domain::manifest::yaml;

/// What kubectl makes of a file.
#[derive(Deserialize)]
struct Answer {
    docs: Vec<Box<RawValue>>,
    error: bool,
    strict_error: bool,
}

/// Cases that only we refuse, because kubectl drops something of them silently
/// or leaves it to chance.
const ONLY_WE_REFUSE: &[&str] = &[
    // To kubectl the colon is part of the text or key: `{k:}` is {"k:": null}.
    "plain_colon_flow_end",
    // Two keys that become one: the order of a Go map decides.
    "dup_key_num",
    "key_collision_bool",
    "key_collision_float",
    // Behind `...` kubectl reads nothing.
    "document_end_garbage",
    "document_end_second",
    // kubectl reads a text behind the JSON, as a document that is none.
    "json_then_garbage",
    // kubectl sends U+FFFD instead.
    "binary_not_text",
    "json_lone_surrogate",
    "json_invalid_utf8",
    // The last of two keys wins in Go's JSON.
    "json_dup_key",
    // kubectl goes on to 10,000 levels.
    "deep_nest",
    "deep_flow_121",
];

/// Cases that Go's strict mode refuses and we read as kubectl does: overriding
/// a merged key is what merge keys are for, and JSON is read as JSON.
const STRICT_MODE_IS_WRONG: &[&str] = &["merge_key", "merge_key_list", "json_doc"];

fn read(file: &[u8]) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for chunk in split(file) {
        if let Some(line) = chunk.bad_separator {
            return Err(format!("bad separator in line {line}"));
        }
        let text = chunk.text().ok_or("not UTF-8")?;
        values.extend(yaml::parse(&text, &mut Budget::default()).map_err(|p| format!("{p:?}"))?);
    }
    values.retain(|value| !value.is_null());
    Ok(values)
}

/// Numbers as the API server reads them: an int64 or a float.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
        },
        Value::Array(values) => values.into_iter().map(normal).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, normal(value))).collect(),
        other => other,
    }
}

/// Says in what the two differ, if they do.
fn compare(name: &str, answer: &Answer, found: Result<Vec<Value>, String>) -> Option<String> {
    let refused = answer.error || answer.strict_error && !STRICT_MODE_IS_WRONG.contains(&name);
    match found {
        Err(_) if refused || ONLY_WE_REFUSE.contains(&name) => None,
        Err(why) => Some(format!("{name}: we refuse it: {why}")),
        Ok(values) if refused || ONLY_WE_REFUSE.contains(&name) => {
            Some(format!("{name}: we read {values:?}"))
        }
        Ok(values) => {
            let expected: Vec<Value> = answer
                .docs
                .iter()
                .map(|doc| {
                    serde_json::from_str(doc.get()).map_or_else(|error| error.to_string().into(), normal)
                })
                .collect();
            let values: Vec<Value> = values.into_iter().map(normal).collect();
            (values != expected).then(|| format!("{name}: kubectl reads {expected:?}, we {values:?}"))
        }
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/yaml")
}

#[test]
fn documents_are_read_as_kubectl_reads_them() {
    let expected = std::fs::read(fixtures().join("expected.json")).unwrap();
    let answers: BTreeMap<String, Answer> = serde_json::from_slice(&expected).unwrap();
    let mut differences = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(fixtures().join("cases")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some(answer) = answers.get(&name) else {
            differences.push(format!("{name}: expected.json is stale"));
            continue;
        };
        seen += 1;
        differences.extend(compare(&name, answer, read(&std::fs::read(&path).unwrap())));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(seen, answers.len(), "expected.json names cases that are gone");
    assert!(seen >= 90, "only {seen} cases");
}

/// For a comparison by hand: the texts in `SUPERCARGO_YAML_TEXTS` (a JSON array) against the
/// oracle's answers to them in `SUPERCARGO_YAML_ANSWERS`.
#[test]
fn given_texts_are_read_as_kubectl_reads_them() {
    let (Ok(texts), Ok(answers)) =
        (std::env::var("SUPERCARGO_YAML_TEXTS"), std::env::var("SUPERCARGO_YAML_ANSWERS"))
    else {
        return;
    };
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(texts).unwrap()).unwrap();
    let answers: Vec<Answer> = serde_json::from_slice(&std::fs::read(answers).unwrap()).unwrap();
    let differences: Vec<String> = texts
        .iter()
        .zip(&answers)
        .filter_map(|(text, answer)| compare(&format!("{text:?}"), answer, read(text.as_bytes())))
        .collect();
    println!("{} of {} differ", differences.len(), texts.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
