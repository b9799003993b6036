//! Verdicts on objects that real controllers have written.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Objects of two hundred kinds in known states, with the verdicts of Argo CD's health scripts.
const CASES: &str = include_str!("../fixtures/health/cases.jsonl");

/// The largest share of objects that may be judged wrong, in percent.
const BOUND: f64 = 3.0;

fn health(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_supercargo"))
        .arg("health")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start supercargo");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("wait");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn at_most_three_of_a_hundred_objects_are_judged_wrong() {
    let cases: Vec<Value> = CASES.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let objects: Vec<&Value> = cases.iter().map(|case| &case["object"]).collect();
    let (code, out, err) =
        health(&["-f", "-", "-o", "json"], &serde_json::to_string(&objects).expect("JSON"));
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let verdicts: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(verdicts.len(), cases.len());

    let mut table: BTreeMap<(String, String), usize> = BTreeMap::new();
    let (mut falsely_healthy, mut falsely_unhealthy) = (Vec::new(), Vec::new());
    let (mut unhealthy, mut healthy) = (0, 0);
    for (case, verdict) in cases.iter().zip(&verdicts) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (expected, state) = (text(&case["verdict"]), text(&verdict["state"]));
        *table.entry((expected.clone(), state.clone())).or_default() += 1;
        // For a wait, one that is suspended is as it should be.
        let passes = state == "Current" || state == "Suspended";
        let named =
            || format!("{} {}: {state}, {}", text(&case["kind"]), text(&case["case"]), verdict["message"]);
        match expected.as_str() {
            "Progressing" | "Degraded" => {
                unhealthy += 1;
                falsely_healthy.extend(passes.then(named));
            }
            "Healthy" => {
                healthy += 1;
                falsely_unhealthy.extend((!passes).then(named));
            }
            _ => {}
        }
    }
    let percent = |part: usize, all: usize| 100.0 * part as f64 / all as f64;
    let (wrongly_passed, wrongly_held) =
        (percent(falsely_healthy.len(), unhealthy), percent(falsely_unhealthy.len(), healthy));
    println!("{wrongly_passed:.1} % of {unhealthy} unhealthy objects are called healthy:");
    falsely_healthy.iter().for_each(|case| println!("  {case}"));
    println!("{wrongly_held:.1} % of {healthy} healthy objects are called unhealthy:");
    falsely_unhealthy.iter().for_each(|case| println!("  {case}"));
    println!("{table:#?}");
    assert!(wrongly_passed <= BOUND && wrongly_held <= BOUND, "more than {BOUND} %");
}

#[test]
fn verdicts_are_in_the_order_of_the_input() {
    let pod = |name: &str, phase: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: apps}}\nstatus: {{phase: {phase}}}\n---\n"
        )
    };
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {suspend: true}\n";
    let input = pod("done", "Succeeded") + widget;
    let (code, out, err) = health(&["-f", "-"], &input);
    let expected =
        "Current     Pod/apps/done: has completed\nSuspended   Widget.example.com/w: spec.suspend is true\n";
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), expected, ""));

    let (code, out, err) = health(&["-f", "-"], "apiVersion: v1\nkind: List\nitems: []\n");
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));

    let (code, out, _) =
        health(&["-f", "-", "-o", "json"], &(pod("broken", "Failed") + &pod("done", "Succeeded")));
    assert_eq!(code, Some(1));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["object"], "Pod/apps/broken");
    assert_eq!((&lines[0]["state"], &lines[1]["state"]), (&"Failed".into(), &"Current".into()));
}

#[test]
fn the_time_of_a_verdict_can_be_chosen() {
    let old = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, creationTimestamp: '2020-01-01T00:00:00Z'}\n";
    let check = |as_of: &str, expected: (Option<i32>, &str)| {
        let (code, out, _) = health(&["-f", "-", "--as-of", as_of], old);
        assert_eq!((code, out.as_str()), expected);
    };
    check("object", (Some(1), "InProgress  Widget.example.com/w: has no status yet\n"));
    check("now", (Some(0), "Current     Widget.example.com/w: exists\n"));
}

#[test]
fn bad_input_is_named_and_ends_with_its_own_code() {
    let check = |arguments: &[&str], input: &str, expected: &str| {
        let (code, out, err) = health(arguments, input);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?} {input}");
        assert!(err.contains(expected), "{err}");
    };
    check(&["-f", "-"], "", "the input contains no objects");
    check(&["-f", "-"], "a: [", "stdin: document 1, line 2: not valid YAML");
    check(&["-f", "-"], "[{\"kind\": \"Pod\"}]", "item 1: the object has no apiVersion");
    check(&["-f", "no-such-file"], "", "no-such-file");
    check(&[], "", "--filename");
    check(&["-f", "-", "-o", "yaml"], "", "invalid value 'yaml'");
}

#[test]
fn expressions_of_a_file_replace_the_rules() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("write");
        path.display().to_string()
    };
    let widget = r#"{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "apps"},
        "status": {"state": "warm"}}"#;
    let check = |rules: &str, expected: (i32, &str, &str)| {
        let rules = file("rules.yaml", rules);
        let (code, out, err) = health(&["-f", "-", "--expr", &rules], widget);
        let err = err.replace(&rules, "rules.yaml");
        assert_eq!((code, out.as_str(), err.as_str()), (Some(expected.0), expected.1, expected.2));
    };
    check(
        "- {apiVersion: example.com/v1, kind: Widget, current: status.state == 'warm'}\n",
        (0, "Current     Widget.example.com/apps/a: current is true: status.state == 'warm'\n", ""),
    );
    check(
        "kind: OCIArtifactRelease\nspec:\n  healthCheckExprs:\n  - {apiVersion: example.com/v1, current: status.state == 'hot'}\n",
        (1, "InProgress  Widget.example.com/apps/a: current is not true: status.state == 'hot'\n", ""),
    );
    check(
        "healthCheckExprs: [{apiVersion: example.com/v1, current: status.heat > 3}]\n",
        (
            1,
            "InProgress  Widget.example.com/apps/a: current has no answer, there is no status.heat: status.heat > 3\n",
            "",
        ),
    );
    check(
        "[{apiVersion: example.com/v1, current: 'status.'}]\n",
        (
            2,
            "",
            "error: rules.yaml: healthCheckExprs[0].current: expected identifier after '.' at character 8\n",
        ),
    );
    check(
        "[{apiVersion: example.com/v1, curent: 'true'}]\n",
        (2, "", "error: rules.yaml: healthCheckExprs[0]: unknown field \"curent\"\n"),
    );
    check(
        "a: b\n",
        (
            2,
            "",
            "error: rules.yaml: needs a list of rules, alone or as healthCheckExprs or spec.healthCheckExprs\n",
        ),
    );
    let (code, _, err) = health(&["-f", "-", "--expr", "-"], widget);
    assert_eq!((code, err.as_str()), (Some(2), "error: stdin can be read only once; pass - only once\n"));
}
