//! The examples of the help, as they are on the page of the command line: a shell runs each as it was
//! pasted, and the program takes what the shell makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;
use supercargo::cli::Arguments;

/// The examples of a page: the lines between blank ones in its blocks of shell, without the comment
/// above them.
fn examples(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in page.split("\n```shell\n").skip(1) {
        let block = block.split("\n```").next().unwrap_or_default();
        for example in block.split("\n\n") {
            let lines: Vec<&str> = example.lines().filter(|line| !line.starts_with('#')).collect();
            found.push(lines.join("\n"));
        }
    }
    found
}

/// A program that does nothing but read, or that writes down what it was called with.
fn stand_in(directory: &Path, name: &str, script: &str) {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make it executable");
}

#[test]
fn every_example_can_be_pasted() {
    let root = tempfile::tempdir().expect("a directory");
    let (bin, calls, home) = (root.path().join("bin"), root.path().join("calls"), root.path().join("home"));
    for directory in [&bin, &calls, &home.join(".config/fish/completions")] {
        fs::create_dir_all(directory).expect("a directory");
    }
    stand_in(&bin, "supercargo", "printf '%s\\0' \"$@\" >\"$(mktemp \"$CALLS/XXXXXX\")\"");
    // What it takes out of a plan.
    stand_in(&bin, "jq", "cat >/dev/null; echo 0123456789abcdef.0123456789abcdef0123456789abcdef");
    for other in ["kubectl", "cosign", "helm", "crane", "oras", "kustomize", "docker", "cue", "trivy"] {
        stand_in(&bin, other, "cat >/dev/null");
    }
    let page = fs::read_to_string("docs/cli.md").expect("the page");
    let mut count = 0;
    for example in examples(&page) {
        // Of other shells.
        if example.contains("fpath") || example.contains("Invoke-Expression") {
            continue;
        }
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &example])
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default()))
            .env("HOME", &home)
            .env("CALLS", &calls)
            .current_dir(&home)
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{example}\n{}", String::from_utf8_lossy(&output.stderr));
        let mut called = false;
        for call in fs::read_dir(&calls).expect("the calls").map(|call| call.expect("a call").path()) {
            let words = fs::read_to_string(&call).expect("its words");
            fs::remove_file(&call).expect("remove it");
            let words = words.split_terminator('\0');
            if let Err(error) = Arguments::try_parse_from(std::iter::once("supercargo").chain(words)) {
                panic!("{example}\n{error}");
            }
            called = true;
        }
        count += usize::from(called);
    }
    assert!(count > 60, "{count} examples were run");
}
