//! Tables of objects with variables, in both modes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::api::post_build::{InputKind, PostBuild};
use crate::domain::manifest::decode::decode;
use crate::domain::release::inputs::InputData;

/// The objects of a file with the field `postBuild`, and with a ConfigMap and a Secret of the name
/// `in`.
fn rendered(post_build: Value, file: &str) -> Result<Vec<Value>, String> {
    let spec: PostBuild = serde_json::from_value(post_build).unwrap();
    let substitution = Substitution::parse(&spec).map_err(|(field, why)| format!("{field}: {why}"))?;
    let data = |pairs: &[(&str, &str)]| {
        InputData(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect())
    };
    let inputs = RenderInputs::new(BTreeMap::from([
        ((InputKind::ConfigMap, "in".to_owned()), data(&[("HOST", "a.example\n"), ("COMMON", "map")])),
        ((InputKind::Secret, "in".to_owned()), data(&[("TOKEN", "hunter2"), ("COMMON", "secret")])),
    ]));
    let decoded = decode("all.yaml", file.as_bytes()).unwrap();
    let files = [("all.yaml", file.as_bytes())];
    let done = substitute(decoded, &substitution, &inputs, &files, &mut Budget::default());
    let done = done.map_err(|error| error.to_string())?;
    Ok(done.into_iter().map(|decoded| decoded.object.into_value()).collect())
}

const FROM: &str = r#"[{"kind": "ConfigMap", "name": "in"}, {"kind": "Secret", "name": "in"}]"#;

fn from() -> Value {
    serde_json::from_str(FROM).unwrap()
}

const FILE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: ${NAME}
data:
  host: https://${HOST}/
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {supercargo.dev/substitute: disabled}}
data: {a: \"${HOST}\"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}}
data: {a: \"${HOST}\"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, labels: {supercargo.dev/substitute: disabled}}
data: {a: \"${HOST}\"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}}
data: {a: \"${HOST}\"}
";

#[test]
fn both_modes_replace_names_and_leave_objects_that_opt_out() {
    for mode in ["Typed", "Flux"] {
        let spec = json!({"mode": mode, "substitute": {"NAME": "web", "HOST": "b.example"}});
        let found = rendered(spec, FILE).unwrap();
        assert_eq!(found[0]["metadata"]["name"], "web");
        assert_eq!(found[0]["data"]["host"], "https://b.example/");
        assert_eq!(found.len(), 5);
        for kept in &found[1..] {
            assert_eq!(kept["data"]["a"], "${HOST}", "{mode}: {kept}");
        }
    }
}

#[test]
fn the_spec_wins_over_later_inputs_which_win_over_earlier_ones() {
    let check = |mut spec: Value, text: &str, expected: &str| {
        spec["substituteFrom"] = from();
        let file = format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: a}}, stringData: {{a: {}}}}}",
            json!(text)
        );
        assert_eq!(rendered(spec, &file).unwrap()[0]["stringData"]["a"], expected);
    };
    check(json!({}), "${COMMON}", "secret");
    check(json!({"substitute": {"COMMON": "spec"}}), "${COMMON}", "spec");
    // Flux removes line breaks, and without quotes a text may be a number.
    check(json!({}), "x${HOST}x", "xa.example\nx");
    check(json!({"mode": "Flux"}), "x${HOST}x", "xa.examplex");
    check(json!({"mode": "Flux"}), "${TOKEN/hunter2/x}", "x");
}

#[test]
fn a_message_says_which_object_and_which_line() {
    let check = |spec: Value, file: &str, expected: &str| {
        assert_eq!(rendered(spec, file).unwrap_err(), expected);
    };
    check(
        json!({"strict": true, "substitute": {"NAME": "web", "HOSTS": "x"}}),
        FILE,
        "ConfigMap/${NAME} (all.yaml: document 1, line 6): data.host: ${HOST} is not declared; did you mean HOSTS?",
    );
    check(
        json!({"mode": "Flux", "substitute": {"NAME": "web", "HOSTS": "x"}}),
        FILE,
        "ConfigMap/${NAME} (all.yaml: document 1, line 6): data.host: ${HOST} is not declared; did you mean HOSTS? \
         (declare it, or give it a default)",
    );
    check(
        json!({"mode": "Flux", "substitute": {"NAME": "a: b", "HOST": "x"}}),
        FILE,
        "ConfigMap/${NAME} (all.yaml: document 1, line 1): with its variables replaced, it is no YAML any more: line 6 \
         of the object: not valid YAML: mapping values are not allowed in this context",
    );
    check(
        json!({"mode": "Flux", "substitute": {"NAME": "7", "HOST": "x"}}),
        FILE,
        "ConfigMap/${NAME} (all.yaml: document 1, line 1): with its variables replaced, metadata.name is missing or is \
         not a string",
    );
    check(
        json!({"mode": "Flux", "substitute": {"A": "7"}}),
        "{apiVersion: v1, kind: A, metadata: {name: a}, data: {s: \"if ${A-x}\"}}",
        "A/a (all.yaml: document 1, line 1): ${A: the closing brace is missing, or the form is one that Flux does not \
         know; mode Typed, or the annotation supercargo.dev/substitute: disabled on the object, leaves it as it is",
    );
    let misnamed = json!({"substitute": {"a-b": "x"}});
    check(
        misnamed,
        FILE,
        "substitute: \"a-b\" is not a name of a variable: use letters, digits and '_', and no digit at first",
    );
    check(
        json!({"mode": "Flux", "types": {"A": "Number"}}),
        FILE,
        "types: needs mode Typed: in mode Flux, quotes decide about types",
    );
}

/// The lines of `${A}` in fields, and not those that have it elsewhere.
#[test]
fn the_line_is_that_of_the_field() {
    let check = |file: &str, expected: &str| {
        for mode in ["Typed", "Flux"] {
            let spec = json!({"mode": mode, "strict": true, "substitute": {"X": "x"}});
            let error = rendered(spec, file).unwrap_err();
            let (of, _) = error.split_once(": ${A} is not declared").expect(&error);
            assert_eq!(of, expected, "{mode}: {file}");
        }
    };
    let begin = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
    check(
        &format!(
            "{begin}  # ${{A}}\ndata:\n  b: $${{A}} ${{A:=x}} ${{AB:=x}}\n  c: |\n    first\n\n    ${{A}}\n"
        ),
        "ConfigMap/a (all.yaml: document 1, line 11): data.c",
    );
    check(
        &format!("{begin}data:\n  b: 'one\n\n    ${{A}}'\n  c: x\n"),
        "ConfigMap/a (all.yaml: document 1, line 8): data.b",
    );
    check(
        &format!("{begin}---\n# ${{A}}\n{begin}spec:\n- {{b: [x, \"${{A}}\"]}}\n---\n{begin}"),
        "ConfigMap/a (all.yaml: document 2, line 12): spec[0].b[1]",
    );
    let item = |name: &str, value: &str| {
        format!(
            "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: {name}}}\n  data: {{b: \"{value}\"}}\n"
        )
    };
    check(
        &format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item("a", "${A:=x}"), item("b", "${A}")),
        "ConfigMap/b (all.yaml: document 1, line 11): data.b",
    );
}

#[test]
fn values_of_secrets_are_hidden_in_every_kind() {
    for mode in ["Typed", "Flux"] {
        let spec = |field: Value| {
            let file = json!({"apiVersion": "v1", "kind": "Db", "metadata": {"name": "a", "labels": field["labels"]},
                "spec": field["spec"]});
            let spec = json!({"mode": mode, "substituteFrom": from()});
            rendered(spec, &file.to_string())
        };
        let found =
            spec(json!({"labels": {}, "spec": {"users": [{"p": "${TOKEN}", "n": "${HOST}"}], "x": 1}}));
        let found = &found.unwrap()[0];
        assert_eq!(found["spec"]["users"][0]["p"], "hunter2");
        assert_eq!(found["metadata"]["annotations"][keys::SENSITIVE_PATHS], "/spec/users/*/p");
        let refused = spec(json!({"labels": {"supercargo.dev/x": "${TOKEN}"}})).unwrap_err();
        assert!(
            refused.contains("would contain a value of Secret in, and everyone sees this field"),
            "{refused}"
        );
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    // A form that makes something else of the value is as secret.
    let spec = json!({"mode": "Flux", "substituteFrom": from()});
    let file =
        "{apiVersion: v1, kind: Db, metadata: {name: a}, spec: {a: \"${TOKEN^^}\", b: \"x${#TOKEN}\", c: x}}";
    let found = &rendered(spec, file).unwrap()[0];
    assert_eq!(found["spec"]["a"], "HUNTER2");
    assert_eq!(found["metadata"]["annotations"][keys::SENSITIVE_PATHS], "/spec/a, /spec/b");
}
