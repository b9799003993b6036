//! VariableSet as in Flux, against what Flux makes of them: tests/fixtures/envsubst/expected.json is
//! written by the program in tests/fixtures/envsubst/oracle, which is made of the modules of Flux.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use supercargo::api::post_build::PostBuild;
use supercargo::domain::manifest::budget::Budget;
use supercargo::domain::manifest::decode::decode;
use supercargo::domain::manifest::substitute::{
    FluxError, FluxFailure, FluxLimits, Substitution, Variable, VariableSet, evaluate, flux_yaml, substitute,
    substitute_object,
};
use supercargo::domain::release::inputs::RenderInputs;

#[derive(Deserialize)]
struct Expected {
    variables: BTreeMap<String, String>,
    texts: Vec<TextCase>,
    objects: Vec<ObjectCase>,
}

#[derive(Deserialize)]
struct TextCase {
    text: String,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    out: String,
    raw: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ObjectCase {
    object: Value,
    yaml: String,
    #[serde(default)]
    strict: bool,
    out: Option<Value>,
    error: Option<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn expected() -> (Expected, VariableSet) {
    let text = std::fs::read_to_string(repository().join("tests/fixtures/envsubst/expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let variables = expected.variables.iter().map(|(name, value)| (name.clone(), Variable::from(&**value)));
    let variables = VariableSet(variables.collect());
    (expected, variables)
}

/// Our error for what the engine of Flux says.
fn is_same_error(theirs: &str, ours: &FluxError) -> bool {
    match ours {
        FluxError::BadSubstitution => theirs.contains("bad substitution"),
        FluxError::MissingClosingBrace(_) => theirs.contains("missing closing brace"),
        FluxError::NoName => theirs.contains("unable to parse variable name"),
        FluxError::BadArgument => theirs.contains("unable to parse substitution within function"),
        FluxError::BadDefault(_) => theirs.contains("unable to parse default function"),
        FluxError::NotSet(name) => theirs.contains(&format!("variable not set (strict mode): {name:?}")),
        FluxError::Panic(_) => theirs == "panic",
        FluxError::TooDeep(_) | FluxError::TooExpensive(_) | FluxError::TooLarge => false,
    }
}

#[test]
fn texts_become_what_flux_makes_of_them_byte_for_byte() {
    let (expected, variables) = expected();
    let mut wrong = Vec::new();
    for case in &expected.texts {
        let found = evaluate(case.text.as_bytes(), &variables, case.strict, &mut FluxLimits::new(1 << 20));
        let found = found.map(|evaluated| evaluated.text);
        let is_same = match (&case.error, &found) {
            (Some(theirs), Err(ours)) => is_same_error(theirs, ours),
            (None, Ok(text)) => match &case.raw {
                Some(raw) => STANDARD.decode(raw).unwrap() == *text,
                None => case.out.as_bytes() == text,
            },
            _ => false,
        };
        if !is_same {
            let shown = found.map(|text| String::from_utf8_lossy(&text).into_owned());
            wrong.push(format!(
                "{:?} strict={}: {:?} {:?}, not {shown:?}",
                case.text, case.strict, case.out, case.error
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), expected.texts.len(), wrong.join("\n"));
    assert!(expected.texts.len() >= 3000);
}

#[test]
fn objects_become_what_flux_makes_of_them() {
    let (expected, variables) = expected();
    let mut wrong = Vec::new();
    for case in &expected.objects {
        let yaml = flux_yaml(&case.object).unwrap();
        // go-yaml escapes every letter of a text that begins with a byte order mark.
        if yaml != case.yaml.as_bytes() && !case.yaml.contains("\\uFEFF") {
            wrong.push(format!(
                "{}:\n  {:?}\n  {:?}",
                case.object,
                case.yaml,
                String::from_utf8_lossy(&yaml)
            ));
        }
        let found = substitute_object(&case.object, &variables, case.strict, &mut Budget::default());
        let is_same = match (&case.error, &case.out, &found) {
            (None, Some(out), Ok(done)) => *out == done.value,
            (Some(theirs), _, Err(FluxFailure::Text(ours))) => is_same_error(theirs, ours),
            (Some(theirs), _, Err(FluxFailure::Yaml(..))) => theirs.contains("YAMLToJSON"),
            // kubectl would drop one of two keys; which one is left to chance.
            (None, Some(_), Err(FluxFailure::Yaml(_, problem))) => problem.contains("twice"),
            _ => false,
        };
        if !is_same {
            wrong.push(format!(
                "{} strict={}:\n  {:?} {:?}\n  {found:?}",
                case.object, case.strict, case.out, case.error
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), expected.objects.len(), wrong.join("\n"));
    assert!(expected.objects.len() >= 500);
}

/// What a text becomes in a mode, as the table of the page has it.
fn becomes(text: &str, mut post_build: Value, mode: &str) -> String {
    post_build["mode"] = mode.into();
    let spec: PostBuild = serde_json::from_value(post_build).unwrap();
    let substitution = Substitution::parse(&spec).unwrap();
    let object = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": {"k": text}});
    let decoded = decode("a.json", object.to_string().as_bytes()).unwrap();
    let done = substitute(decoded, &substitution, &RenderInputs::default(), &[], &mut Budget::default());
    done.map_or("error".to_owned(), |objects| objects[0].object.value()["spec"]["k"].to_string())
}

#[test]
fn the_table_and_the_figures_of_the_page_are_true() {
    let page = std::fs::read_to_string(repository().join("docs/substitution.md")).unwrap();
    let substitute = json!({"HOST": "example.org", "REPLICAS": "3", "EMPTY": ""});
    let typed = json!({"substitute": substitute, "types": {"REPLICAS": "Number"}});
    let flux = json!({"substitute": substitute, "strict": false});
    let plain = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let (mut rows, mut wrong) = (0, Vec::new());
    for line in page.lines().filter(|line| line.starts_with("| `") || line.starts_with("| 'x")) {
        let cells: Vec<String> = line.trim_matches('|').split(" | ").map(plain).collect();
        let [text, in_typed, in_flux] = &cells[..] else { panic!("{line}") };
        rows += 1;
        let found = [becomes(text, typed.clone(), "Typed"), becomes(text, flux.clone(), "Flux")];
        if found != [in_typed.as_str(), in_flux.as_str()] {
            wrong.push(format!("{line}: {found:?}"));
        }
    }
    assert!(rows >= 15 && wrong.is_empty(), "{rows} rows\n{}", wrong.join("\n"));
    let (expected, _) = expected();
    let figures = format!("{} texts and {} objects give", expected.texts.len(), expected.objects.len());
    assert!(page.contains(&figures), "{figures}");
    let versions =
        std::fs::read_to_string(repository().join("tests/fixtures/envsubst/oracle/go.mod")).unwrap();
    for module in ["envsubst", "kustomize"] {
        let line = versions.lines().find(|line| line.contains(&format!("fluxcd/pkg/{module} v"))).unwrap();
        let version = line.split_whitespace().nth(1).unwrap();
        assert!(page.contains(&format!("`fluxcd/pkg/{module}` {version}")), "{module} {version}");
    }
}

#[test]
fn build_replaces_variables_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let app = file(
        "app.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"${NAME}\"}\ndata:\n  host: ${HOST}\n  token: ${TOKEN}\n  \
         sh: echo ${1:-x}\n",
    );
    let vars = file("vars.env", "# Of this cluster.\nHOST=a.example\n\nNAME=web\n");
    let secret = file(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {TOKEN: aHVudGVyMg==}\nstringData: {NAME: x}\n",
    );
    let run = |arguments: &[&str]| super::cli::run(&[&["build", "-f", &app], arguments].concat());
    let (code, out, err) =
        run(&["--substitute-from", &vars, "--substitute-from", &secret, "--substitute", "NAME=web"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "apiVersion: v1\ndata:\n  host: a.example\n  sh: \"echo ${1:-x}\"\n  token: hunter2\nkind: ConfigMap\n\
                    metadata:\n  annotations:\n    supercargo.dev/sensitive-paths: /data/token\n  name: web\n";
    assert_eq!(out.replace("sh: echo ${1:-x}", "sh: \"echo ${1:-x}\""), format!("{expected}---\n"));
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let (found, _, err) = run(arguments);
        assert_eq!((found, err.as_str()), (code, format!("error: {expected}\n").as_str()));
    };
    check(
        &[
            "--substitute",
            "HSOT=x",
            "--substitute",
            "NAME=x",
            "--substitute",
            "TOKEN=x",
            "--substitute-strict",
        ],
        1,
        &format!(
            "cannot replace variables: ConfigMap/${{NAME}} ({app}: document 1, line 5): data.host: ${{HOST}} is not \
             declared; did you mean HSOT?"
        ),
    );
    check(&["--substitute", "secret-without-a-name"], 2, "--substitute: write NAME=VALUE");
    check(
        &["--substitute-type", "A=Int"],
        2,
        "--substitute-type A=Int: write NAME=String, NAME=Number or NAME=Boolean",
    );
    check(
        &["--substitute-from", "secret/x"],
        2,
        "--substitute-from secret/x: this command does not contact the cluster; name a file",
    );
    check(&["--substitute-from", "-"], 2, "--substitute-from -: standard input is not read; name a file");
    for line in ["export A=b", "A = b", "1=b"] {
        let lines = file("lines.env", &format!("B=c\n{line}\n"));
        check(
            &["--substitute-from", &lines],
            1,
            &format!(
                "{lines}: line 2 is not NAME=VALUE: a name has letters, digits and '_', no digit at first, and nothing \
                 before or after it"
            ),
        );
    }
    let number =
        file("n.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: v}\ndata: {REPLICAS: 3}\n");
    check(
        &["--substitute-from", &number],
        1,
        &format!("{number}: document 1, line 1: ConfigMap/v: data.REPLICAS is not a text; put it in quotes"),
    );
    check(
        &["--substitute", "A=b", "-a", "oci://localhost/x:1"],
        2,
        "an artifact keeps its variables, and each release replaces them; leave out -a or --substitute",
    );
}
