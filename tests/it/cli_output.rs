//! What the verbs on artifacts print: to somebody who has stopped reading, and of
//! an artifact in which every string is hostile.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use axum::http::Method;
use serde_json::{Value, json};

use crate::cli::{program, run};
use crate::liar::{Liar, manifest, reply};

const MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";

/// Exit code and stderr of a command whose stdout nobody reads, from its first
/// byte on.
fn unread(command: &mut Command) -> (i32, String) {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Takes every upload.
fn accept(liar: &Liar) {
    liar.lie(|seen| match seen.method {
        Method::HEAD if !seen.path.contains("/manifests/") => Some(reply(404, &[], "")),
        Method::POST => Some(reply(202, &[("location", "/v2/team/app/blobs/uploads/1")], "")),
        Method::PUT => Some(reply(201, &[], "")),
        _ => None,
    });
}

/// Lists one tag.
fn list(liar: &Liar) {
    liar.lie(|seen| {
        let tags = json!({"name": "team/app", "tags": ["1", "2"]}).to_string();
        seen.path.contains("/tags/list").then(|| reply(200, &[("content-type", "application/json")], tags))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_closed_stdout_the_work_is_done_and_the_verdict_stays() {
    let liar = Liar::start().await;
    accept(&liar);
    list(&liar);
    liar.artifact("1", MAP);
    liar.artifact("2", &format!("{MAP}---\n{}", MAP.replace("name: a", "name: b")));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, MAP).unwrap();
    let file = file.to_str().unwrap();
    let url = |tag: &str| format!("oci://{}/team/app:{tag}", liar.host);
    let (one, two, repository) = (url("1"), url("2"), format!("oci://{}/team/app", liar.host));
    let created = "--created=2026-01-01T00:00:00Z";
    let verbs: [(&[&str], i32); 21] = [
        (&["push", "artifact", &one, "-f", file, created], 0),
        (&["push", "artifact", &one, "-f", file, created, "-o", "json"], 0),
        (&["build", "-f", file, "-a", &one], 0),
        (&["build", "-f", file], 0),
        (&["build", "inventory", "x", "-a", &one, "-o", "json"], 0),
        (&["pull", "artifact", &one], 0),
        (&["tag", "artifact", &one, "3"], 0),
        (&["list", "artifacts", &repository], 0),
        (&["list", "artifacts", &repository, "-o", "yaml"], 0),
        (&["inspect", "artifact", &one], 0),
        (&["inspect", "artifact", &one, "--container-images"], 0),
        (&["diff", "artifact", &one, &one], 0),
        (&["diff", "artifact", &one, &two], 1),
        (&["diff", "artifact", &one, &two, "-o", "json"], 1),
        (&["diff", "artifact", &one, &url("none")], 2),
        (&["pull", "artifact", &url("none")], 1),
        (&["crd"], 0),
        (&["docs"], 0),
        (&["docs", "metrics"], 0),
        (&["version"], 0),
        (&["completion", "bash"], 0),
    ];
    for (verb, expected) in verbs {
        liar.asked();
        let (code, _, err) = run(verb);
        // A host is asked once a process whether it speaks TLS; that is no HTTP.
        let asked = liar.asked();
        assert_eq!(code, expected, "{verb:?}: {err}");
        // The time of a build is now, and so are its digests.
        let same =
            |text: &str| if verb[0] == "build" { text.lines().count().to_string() } else { text.to_owned() };
        let (code, told) = unread(&mut program(verb));
        assert_eq!((code, same(&told)), (expected, same(&err)), "{verb:?}, unread");
        assert_eq!(liar.asked().len(), asked.len(), "{verb:?}, unread");
    }
    let pushed = liar_puts(&liar, &["push", "artifact", &one, "-f", file]);
    assert!(pushed.iter().any(|put| put == "PUT manifests/1"), "{pushed:?}");
}

fn liar_puts(liar: &Liar, verb: &[&str]) -> Vec<String> {
    liar.asked();
    unread(&mut program(verb));
    liar.asked().into_iter().filter(|asked| asked.starts_with("PUT ")).collect()
}

/// Begins lines of its own, goes back to their beginning, and steers the terminal:
/// in C0, in C1, and by the line breaks and directions of Unicode.
const HOSTILE: &str = "x\nFORGED\r\nVerified by: FORGED\r► FORGED\u{1b}[2K\u{1b}]0;t\u{7}\u{9b}2J\u{2028}FORGED\u{85}FORGED\u{202e}\tx\u{7f}";

/// The same without the control characters, with which no annotation is read.
const DECEPTIVE: &str = "x\u{2028}FORGED\u{202e}FORGED";

/// What every string of a hostile artifact is, in JSON.
fn hostile(kind: &str, name: &str, value: &str) -> Value {
    let text = format!("{name}{HOSTILE}");
    let map = json!({ (text.clone()): format!("{value}{HOSTILE}") });
    json!({
        "apiVersion": "v1", "kind": kind,
        "metadata": {"name": text, "namespace": text, "labels": map, "annotations": map},
        "data": map,
        "spec": {"containers": [{"name": text, "image": text}]},
    })
}

/// Pushes it as a liar would, who is held by no client.
fn forge(liar: &Liar, tag: &str, value: &str) -> String {
    let yaml = format!("{}\n---\n{}\n", hostile("Pod", "a", value), hostile("ConfigMap", "a", value));
    let mut manifest = manifest(&liar.blob(yaml.as_bytes()), yaml.len());
    let mut annotations = json!({ (HOSTILE): HOSTILE });
    for key in ["version", "checksum", "created"] {
        annotations[format!("kustomizer.dev/{key}")] = HOSTILE.into();
    }
    for key in ["source", "revision", "created", "title"] {
        annotations[format!("org.opencontainers.image.{key}")] = DECEPTIVE.into();
    }
    annotations["kustomizer.dev/checksum"] =
        supercargo::oci::Digest::of(yaml.as_bytes()).to_string()["sha256:".len()..].into();
    manifest["annotations"] = annotations;
    liar.manifest(tag, &manifest);
    yaml
}

/// Checks that no line was begun, and no terminal steered, by what somebody else
/// wrote.
#[track_caller]
fn honest(verb: &[&str], text: &str, prefixes: &[&str]) {
    for c in text.chars() {
        let steers = c != '\n' && c.is_control();
        assert!(!steers && !matches!(c, '\u{2028}' | '\u{202e}'), "{verb:?} prints {c:?}: {text:?}");
    }
    for line in text.lines() {
        let forged =
            ["FORGED", "Verified by:", "► FORGED"].iter().any(|start| line.trim_start().starts_with(start));
        assert!(!forged, "{verb:?} prints the line {line:?}");
        let known = prefixes.is_empty() || prefixes.iter().any(|prefix| line.starts_with(prefix));
        assert!(known, "{verb:?} prints the line {line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_an_artifact_makes_a_line_of_its_own_or_steers_the_terminal() {
    let liar = Liar::start().await;
    accept(&liar);
    let yaml = forge(&liar, "1", "one");
    forge(&liar, "2", "two");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, &yaml).unwrap();
    let file = file.to_str().unwrap();
    let url = |tag: &str| format!("oci://{}/team/app:{tag}", liar.host);
    let (one, two) = (url("1"), url("2"));
    let facts = ["Built by: ", "Created at: ", "Source: ", "Revision: ", "Checksum: ", "Manifests:", "   "];
    let hunks = ["► Pod/", "► ConfigMap/", "@@", "+", "-", " ", "\\ "];
    let verbs: [(&[&str], &[&str]); 4] = [
        (&["inspect", "artifact", &one], &facts),
        (&["diff", "artifact", &one, &two], &hunks),
        (&["push", "artifact", &url("3"), "-f", file], &["Pod/", "ConfigMap/"]),
        (&["inspect", "artifact", &one, "--container-images"], &[]),
    ];
    for (verb, prefixes) in verbs {
        let (code, out, err) = run(verb);
        assert!(code < 2, "{verb:?}: {err}");
        honest(verb, &out, prefixes);
        honest(verb, &err, &[]);
        // With colour the only escapes are ours.
        let (_, coloured, _) = run(&[verb, &["--color=always"]].concat());
        assert_eq!(uncoloured(&coloured), out, "{verb:?}");
    }
    // For programs everything is what it is.
    let (_, out, _) = run(&["inspect", "artifact", &one, "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["source"], DECEPTIVE);
    assert!(report["manifests"].as_array().unwrap().iter().any(|m| m["images"][0] == format!("a{HOSTILE}")));
    assert_eq!(run(&["pull", "artifact", &one]).1, yaml);
    let (_, built, _) = run(&["build", "-f", file]);
    assert!(
        built.contains("\\e[2K") || built.contains("\\x1b[2K") || built.contains("\\u001b[2K"),
        "{built}"
    );
}

/// Takes out the escapes of the colours that we use.
fn uncoloured(text: &str) -> String {
    let colours = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[36m"];
    colours.iter().fold(text.to_owned(), |text, colour| text.replace(colour, ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_two_groups_with_one_kind_are_told_apart() {
    let liar = Liar::start().await;
    let service = |version: &str, more: &str| {
        format!(
            "{{apiVersion: {version}, kind: Service, metadata: {{name: web, namespace: a}}, spec: {{{more}}}}}\n"
        )
    };
    let both =
        |more: &str| format!("{}---\n{}", service("v1", more), service("serving.knative.dev/v1", more));
    liar.artifact("1", &both("a: b"));
    liar.artifact("2", &both("a: c"));
    let url = |tag: &str| format!("oci://{}/team/app:{tag}", liar.host);
    let (one, two) = (url("1"), url("2"));
    let inspect = ["inspect", "artifact", &one];
    let expected = "Manifests:\n   Service/a/web\n   Service.serving.knative.dev/a/web\n";
    let shown = run(&inspect).1;
    assert!(shown.ends_with(expected) && shown.starts_with("Kind: an artifact of another tool ("), "{shown}");
    let groups = |list: &Value| -> Vec<(String, String)> {
        let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
        list.as_array().unwrap().iter().map(|item| (text(item, "object"), text(item, "group"))).collect()
    };
    let apart = [("Service/a/web", ""), ("Service.serving.knative.dev/a/web", "serving.knative.dev")];
    let apart = apart.map(|(object, group)| (object.to_owned(), group.to_owned()));
    let parsed = |arguments: &[&str]| -> Value {
        serde_json::from_str(&run(&[arguments, &["-o", "json"]].concat()).1).unwrap()
    };
    assert_eq!(groups(&parsed(&inspect)["manifests"]), apart);
    let diff = ["diff", "artifact", &one, &two];
    assert_eq!(groups(&parsed(&diff)), apart);
    let shown = run(&diff).1;
    let heads: Vec<&str> = shown.lines().filter(|line| line.starts_with('►')).collect();
    assert_eq!(heads, ["► Service/a/web changed", "► Service.serving.knative.dev/a/web changed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_ends_within_its_timeout() {
    // It takes connections, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("oci://{}/team/app:1", silent.local_addr().unwrap());
    let late = "error: timed out after 1s (--timeout)\n";
    for (verb, expected) in [
        (&["pull", "artifact", &url, "--timeout=1s"][..], 1),
        (&["--timeout", "1s", "inspect", "artifact", &url], 1),
        (&["diff", "artifact", &url, &url, "--timeout", "1s"], 2),
    ] {
        assert_eq!(run(verb), (expected, String::new(), late.to_owned()), "{verb:?}");
    }
}
