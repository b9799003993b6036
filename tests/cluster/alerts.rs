//! The alert rules, judged by promtool. What needs no program is in tests/tidy.

use std::path::PathBuf;
use std::process::Output;

use supercargo_testbed::prometheus::promtool;
use supercargo_testbed::{Profiles, repository, story};

const PROFILES: Profiles = Profiles::First("rules, and no cluster");

/// The alert rules, as everybody installs them.
pub const RULES: &str = "charts/supercargo/rules/supercargo.yaml";

#[track_caller]
fn succeeds(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[story]
fn promtool_finds_nothing_wrong_with_the_rules() {
    succeeds(&promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &[repository().join(RULES)]));
}

#[story]
fn alerts_fire_and_are_quiet_when_they_should() {
    let tests = std::fs::read_dir(repository().join("tests/alerts")).expect("tests/alerts exists");
    let mut tests: Vec<PathBuf> = tests.map(|entry| entry.expect("an entry").path()).collect();
    tests.sort();
    succeeds(&promtool(&["test", "rules"], &tests));
}
