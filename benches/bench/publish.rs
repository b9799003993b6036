//! Pushing and pulling a large artifact from the command line, beside crane.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use supercargo_testbed::{Registry, processes};

use super::table::{Row, Table, median};

/// Objects of the artifact, and random bytes in each: 20 MB of YAML that hardly
/// compresses.
const OBJECTS: usize = 320;
const BYTES: usize = 48 << 10;
/// How often each command runs; a push into a repository of its own.
const RUNS: usize = 5;

/// Measures the rows.
pub fn measure(table: &mut Table) {
    let registry = Registry::plain();
    let directory = processes::directory("publish");
    let yaml = directory.join("all.yaml");
    std::fs::write(&yaml, manifests()).expect("write a file");
    let layer = directory.join("layer.tar.gz");
    run(Command::new("tar").arg("-C").arg(&directory).arg("-czf").arg(&layer).arg("all.yaml"));
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (yaml, layer, host) = (text(&yaml), text(&layer), registry.host());
    let ours = |n: usize| format!("oci://{host}/ours{n}:1");
    let push = times(|n| supercargo(&["push", "artifact", &ours(n), "-f", &yaml]));
    let pull = times(|n| supercargo(&["pull", "artifact", &ours(n)]));
    let theirs = |n: usize| format!("{host}/crane{n}:1");
    let crane_push = times(|n| drop(registry.crane(&["append", "-f", &layer, "-t", &theirs(n)])));
    let crane_pull = times(|n| drop(registry.crane(&["export", &theirs(n), "/dev/null"])));
    let mut add = |work: &str, wall: Duration, note: &str| {
        table.add(Row { work: work.into(), wall: Some(wall), note: note.into(), ..Row::default() });
    };
    add("push 20 MB", push, "YAML read, checked, written, packed");
    add("push 20 MB by crane", crane_push, "a layer that is packed already");
    add("pull 20 MB", pull, "unpacked, checksum compared");
    add("pull 20 MB by crane export", crane_pull, "unpacked");
}

fn manifests() -> String {
    let (mut text, mut state) = (String::new(), 1_u64);
    for n in 0..OBJECTS {
        let _ = write!(text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}}}\ndata:\n  k: ");
        for _ in 0..BYTES / 6 {
            // The generator of Knuth's MMIX.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let _ = write!(text, "{:08x}", state >> 32);
        }
        text.push('\n');
    }
    text
}

fn times(work: impl Fn(usize)) -> Duration {
    let one = |n| {
        let started = Instant::now();
        work(n);
        started.elapsed()
    };
    median((0..RUNS).map(one).collect())
}

fn supercargo(arguments: &[&str]) {
    run(Command::new(env!("CARGO_BIN_EXE_supercargo")).args(arguments).env("DOCKER_CONFIG", "/nonexistent"));
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.expect("run a program").success(), "{command:?}");
}
