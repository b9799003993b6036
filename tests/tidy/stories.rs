//! The stories of the operator run under both profiles, or say why not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::none;
use crate::source::{root, sources};

/// What makes an operator under the profile of the run, or begins a story.
const MARKS: &[&str] =
    &["Profile::of_run", "operator_account", "Story::begin", "Scene::begin", "Scene::with"];

/// Not run as cluster-admin, and why.
const ONCE: &[(&str, &str)] = &[
    ("admission", "what the API server refuses, whoever runs"),
    ("adoption", "commands under the user's own rights"),
    ("bed", "the test bed itself"),
    ("chart", "its operators have the rights that the chart gives them there"),
    ("cli_output", "commands under the user's own rights"),
    ("cli_releases", "commands under the user's own rights"),
    ("dashboards", "panels and alerts do not depend on rights, and it takes a minute"),
    ("decryption", "what an artifact holds is read before any right is used"),
    ("downgrade", "which tag is followed does not depend on rights"),
    ("ground", "what stories stand on"),
    ("hostile", "what artifacts and registries may take does not depend on rights"),
    ("image", "the image, under the rights that it is given"),
    ("inventories", "commands under the user's own rights"),
    ("metrics", "figures do not depend on rights"),
    ("origins", "who may say where an artifact is does not depend on rights"),
    ("recovery", "what the stories recovery_… stand on"),
    ("registries", "what registries answer does not depend on rights"),
    ("scene", "what stories stand on"),
    ("setting", "what stories stand on"),
    ("squatting", "each story says under which profile its operator runs"),
    ("streams", "connections do not depend on rights"),
    ("trust", "what is trusted is decided before any right is used"),
    ("webhooks", "what registries send does not depend on rights"),
];

/// The list STORIES of the Makefile.
fn stories(makefile: &str) -> BTreeSet<String> {
    let (_, rest) = makefile.split_once("\nSTORIES := ").unwrap_or_default();
    let list = rest.replace("\\\n", " ");
    list.lines().next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn stories_run_under_both_profiles() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let twice = stories(&makefile);
    assert!(twice.len() > 15, "STORIES of the Makefile is not read: {twice:?}");
    let mut modules: BTreeMap<String, bool> = BTreeMap::new();
    for source in sources("tests/cluster") {
        let inside = source.path.trim_start_matches("tests/cluster/").trim_end_matches(".rs");
        let module = inside.split('/').next().unwrap_or(inside).to_owned();
        *modules.entry(module).or_default() |= MARKS.iter().any(|mark| source.code.contains(mark));
    }
    let once: BTreeSet<&str> = ONCE.iter().map(|(name, _)| *name).collect();
    let mut found = Vec::new();
    for (module, _) in modules.iter().filter(|(_, story)| **story) {
        match (twice.contains(module), once.contains(module.as_str())) {
            (false, false) => found.push(format!("{module} is in neither")),
            (true, true) => found.push(format!("{module} is in both")),
            _ => {}
        }
    }
    let gone = twice.iter().map(String::as_str).filter(|name| !modules.contains_key(*name));
    found.extend(gone.map(|name| format!("{name} of STORIES does not exist")));
    let idle = once.iter().filter(|name| !modules.get(**name).copied().unwrap_or_default());
    found.extend(idle.map(|name| format!("{name} of ONCE has no story of an operator")));
    none(found, "put a story of the operator in STORIES of the Makefile, or in ONCE with a reason");
}

#[test]
fn the_list_is_read_over_its_lines() {
    let read = stories("\nA := b\nSTORIES := one \\\n\ttwo\nC := d\n");
    assert_eq!(read, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
}
