//! The rules of the repository, as tests. docs/architecture.md gives their
//! reasons. A failure names the place and what to do about it.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read fails the rule, with its backtrace")]

#[path = "tidy/alerts.rs"]
mod alerts;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/dashboards.rs"]
mod dashboards;
#[path = "tidy/doors.rs"]
mod doors;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/siblings.rs"]
mod siblings;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/stories.rs"]
mod stories;
#[path = "tidy/values.rs"]
mod values;
#[path = "tidy/words.rs"]
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use source::{line, relative, root, sources, walk};

/// Lines of a file without its unit tests: more must be split.
const MAX_LINES: usize = 600;
/// More needs a reason in [`LONG_FILES`].
const LONG_LINES: usize = 400;
/// Files between the two limits, and why they are one file.
const LONG_FILES: &[(&str, &str)] = &[];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];
/// Modules of one folder; more need folders of their own.
const MAX_SIBLINGS: usize = 16;
/// What no tracked text may hold, and why. Split, so that this file may be read too.
const FORBIDDEN_TEXT: &[(&str, &str)] = &[
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("/Us", "ers/"), "a path of one machine"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("FIX", "ME"), "a note that belongs into the tracker, or into a test"),
    (concat!("TO", "DO"), "a note that belongs into the tracker, or into a test"),
    (concat!("blazing", "ly"), "praise; give a figure"),
    (concat!("seam", "less"), "praise; say what it does"),
    (concat!("<<<<", "<<<"), "a merge that was not finished"),
    (concat!(">>>>", ">>>"), "a merge that was not finished"),
];
/// Written by tools, or data of a test.
const NOT_OUR_TEXT: &[&str] = &["Cargo.lock", "go.sum", "LICENSE"];

#[track_caller]
fn none(found: Vec<String>, what_to_do: &str) {
    assert!(found.is_empty(), "{what_to_do}:\n  {}", found.join("\n  "));
}

#[test]
fn rooms_keep_to_their_doors() {
    none(
        sources("src").iter().flat_map(doors::rooms).collect(),
        "a room reaches past its doors; move the code to the room that may, or pass a value instead",
    );
}

#[test]
fn domain_and_api_are_pure() {
    none(
        sources("src").iter().flat_map(doors::purity).collect(),
        "domain and api have no async, client, clock, randomness or I/O; make it an argument",
    );
}

#[test]
fn third_party_types_stop_at_their_door() {
    none(
        sources("src").iter().flat_map(doors::third_party).collect(),
        "a library is used outside of its room; give that room a function, or name the door in tests/tidy/doors.rs",
    );
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    none(
        circles::circles(&sources("src")),
        "files of a room import each other in a circle; move what both need into a file below them, or split \
         the one of which only a part is needed",
    );
}

#[test]
fn folders_are_small() {
    none(
        siblings::crowded(&sources("src"), MAX_SIBLINGS),
        "folders hold too much at once; give what belongs together a folder of its own",
    );
}

/// Whether a text tells how many more there are of something, after the first few.
fn cuts_a_list(text: &str) -> bool {
    let after = text.split("and {").skip(1).filter_map(|rest| rest.split_once('}'));
    after.map(|(_, rest)| rest).any(|rest| rest.starts_with(" more"))
}

#[test]
fn long_lists_are_told_in_one_way() {
    let told = |source: &source::Source| {
        let lists = source::strings(&source.text).into_iter().filter(|text| cuts_a_list(text));
        lists.map(|text| format!("{}: {text:?}", source.path)).collect::<Vec<_>>()
    };
    let mut sources = sources("src");
    sources.retain(|source| source.path != "src/domain/message.rs");
    none(
        sources.iter().flat_map(told).collect(),
        "domain/message.rs joins lists and tells what is left out of them",
    );
    for (text, expected) in
        [("; and {} more", true), ("{a} and {more} more", true), ("and {b} or more", false)]
    {
        assert_eq!(cuts_a_list(text), expected, "{text}");
    }
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    let sources = sources("src");
    for source in &sources {
        let lines = source.product.lines().count();
        let reason = LONG_FILES.iter().find(|(path, _)| *path == source.path);
        match reason {
            _ if lines > MAX_LINES => found.push(format!("{} has {lines} lines, split it", source.path)),
            None if lines > LONG_LINES => {
                found.push(format!(
                    "{} has {lines} lines, split it or give a reason in LONG_FILES",
                    source.path
                ));
            }
            Some(_) if lines <= LONG_LINES => {
                found.push(format!("{} is short now, take it out of LONG_FILES", source.path))
            }
            _ => {}
        }
    }
    for (path, _) in LONG_FILES.iter().filter(|(path, _)| !sources.iter().any(|s| s.path == *path)) {
        found.push(format!("{path} is gone, take it out of LONG_FILES"));
    }
    none(found, "files are too long without their unit tests");
}

#[test]
fn module_files_have_no_logic() {
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|s| s.path.ends_with("/mod.rs") || s.path == "src/lib.rs") {
        for statement in doors::statements(&source.product) {
            if !doors::is_declaration(&statement) {
                found.push(format!("{}: {statement}", source.path));
            }
        }
    }
    none(found, "mod.rs and lib.rs hold only mod, use and docs; move the rest to a file with a name");
}

#[test]
fn names_say_what_is_inside() {
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        for source in sources(folder) {
            if source.path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part)) {
                found.push(source.path);
            }
        }
    }
    none(found, "these names could hold anything; name the file for what it does");
}

#[test]
fn the_words_are_those_of_the_field() {
    none(
        sources("src").iter().flat_map(words::retired).collect(),
        "other operators do not say it so; take the usual word",
    );
}

#[test]
fn public_types_have_names_of_their_own() {
    none(
        words::homonyms(&sources("src")),
        "a name means two things; call the less central one by what it is, or give a reason in HOMONYMS",
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        let silent = sources(folder).into_iter().filter(|s| !s.text.starts_with("//!"));
        found.extend(silent.map(|s| s.path));
    }
    none(found, "begin the file with a `//!` that says what it is for and what it must not do");
}

#[test]
fn exceptions_give_a_reason() {
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        for source in sources(folder) {
            for mark in ["#[allow(", "#![allow("] {
                let hits = source.code.match_indices(mark);
                found.extend(hits.map(|(at, _)| format!("{}:{}", source.path, line(&source.code, at))));
            }
        }
    }
    none(found, "write #[expect(lint, reason = \"…\")], which also fails when it is no longer needed");
}

#[test]
fn the_custom_resource_is_generated() {
    let mut files = Vec::new();
    walk(&root().join("config/crd"), &mut files);
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    if files.is_empty() {
        return;
    }
    let committed: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_supercargo")).arg("crd").output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`supercargo crd` has failed: {complaint}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        committed == printed,
        "config/crd is not what `supercargo crd` prints; run `make generate` and commit"
    );
    let copy = root().join("charts/supercargo/files/supercargo.dev_ociartifactreleases.yaml");
    assert!(
        fs::read_to_string(copy).unwrap() == printed,
        "the chart's copy of the definition is stale; run `make generate` and commit"
    );
}

#[test]
fn the_page_of_commands_is_generated() {
    let committed = fs::read_to_string(root().join("docs/cli.md")).unwrap_or_default();
    let output = Command::new(env!("CARGO_BIN_EXE_supercargo")).arg("docs").output().unwrap();
    assert!(output.status.success(), "`supercargo docs` has failed");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        committed == printed,
        "docs/cli.md is not what `supercargo docs` prints; run `make generate` and commit"
    );
}

/// With GENERATE in the environment it writes what it would ask for.
#[test]
fn the_values_of_the_chart_are_told() {
    let chart = root().join("charts/supercargo");
    let values = fs::read_to_string(chart.join("values.yaml")).unwrap();
    let committed = fs::read_to_string(chart.join("README.md")).unwrap();
    let written = values::readme(&committed, &values).unwrap();
    if std::env::var_os("GENERATE").is_some() {
        fs::write(chart.join("README.md"), written).unwrap();
        return;
    }
    assert!(committed == written, "the chart's README.md is stale; run `make generate` and commit");
}

/// What values.yaml has, values.schema.json allows, and nothing else.
#[test]
fn the_schema_of_the_chart_knows_its_values() {
    /// What a chart around this one sets.
    const FOREIGN: &[&str] = &["enabled", "global"];
    let chart = root().join("charts/supercargo");
    let read = |name: &str| fs::read_to_string(chart.join(name)).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut allowed = BTreeSet::new();
    values::allowed(&schema, "", &mut allowed);
    let described = values::described(&read("values.yaml")).unwrap();
    let described: BTreeSet<String> = described.into_iter().map(|value| value.key).collect();
    let known = allowed.iter().filter(|key| !FOREIGN.contains(&key.as_str())).cloned().collect();
    none(
        described.symmetric_difference(&known).cloned().collect(),
        "values.yaml and values.schema.json of the chart do not have the same values",
    );
}

/// A pod that ends gets more time than its runs, its endpoints and the lease take.
#[test]
fn pods_have_the_time_to_end() {
    let seconds = |path: &str, mark: &str| -> u64 {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let rest = text.split_once(mark).unwrap().1.trim_start();
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let drain = "const DRAIN: Duration = Duration::from_secs(";
    let needed = seconds("src/controller/engine.rs", drain) + seconds("src/observe/server.rs", drain);
    // The receiver of webhooks ends at the same time.
    let [server, asking] = ["server", "asking"].map(|file| format!("src/controller/receiver/{file}.rs"));
    let linger = seconds(&server, "const LINGER: Duration = Duration::from_secs(");
    assert!(linger + seconds(&server, drain) + seconds(&asking, drain) <= needed);
    let mark = "\"terminationGracePeriodSeconds\": {\n      \"type\": \"integer\",\n      \"minimum\":";
    assert!(seconds("charts/supercargo/values.schema.json", mark) > needed);
    assert!(seconds("charts/supercargo/values.yaml", "\nterminationGracePeriodSeconds:") > needed);
}

/// The chart's version is the program's.
#[test]
fn the_chart_is_of_this_version() {
    let chart = fs::read_to_string(root().join("charts/supercargo/Chart.yaml")).unwrap();
    let plain = fs::read_to_string(root().join("config/manager/deployment.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for line in [format!("\nversion: {version}\n"), format!("\nappVersion: {version}\n")] {
        assert!(chart.contains(&line), "Chart.yaml lacks {line:?}");
    }
    assert!(plain.contains(&format!(":{version}\n")), "config/manager/deployment.yaml has another image");
}

/// Whether what stands between the marks of a page is what the program prints.
fn is_generated(page: &str) {
    let committed = fs::read_to_string(root().join(format!("docs/{page}.md"))).unwrap();
    let (_, after) = committed.split_once(&format!("<!-- generated by `supercargo docs {page}`")).unwrap();
    let (_, after) = after.split_once("-->\n").unwrap();
    let (tables, _) = after.split_once("<!-- end of what is generated").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_supercargo")).args(["docs", page]).output().unwrap();
    assert!(output.status.success(), "`supercargo docs {page}` has failed");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        tables == printed,
        "docs/{page}.md is not what `supercargo docs {page}` prints; run `make generate` and commit"
    );
}

#[test]
fn the_tables_of_metrics_are_generated() {
    is_generated("metrics");
}

#[test]
fn the_table_of_health_is_generated() {
    is_generated("health");
}

#[test]
fn the_changelog_is_open() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(
        text.lines().any(|l| l.trim() == "## [Unreleased]"),
        "CHANGELOG.md needs a section `## [Unreleased]` for what the next release brings"
    );
}

#[test]
fn texts_hold_nothing_of_one_machine() {
    let mut found = Vec::new();
    for path in tracked() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        if NOT_OUR_TEXT.contains(&name) || path.contains("/fixtures/") {
            continue;
        }
        for (word, why) in FORBIDDEN_TEXT {
            let hits = text.match_indices(word);
            found.extend(hits.map(|(at, _)| format!("{path}:{}: {word:?} is {why}", line(&text, at))));
        }
    }
    none(found, "take these out");
}

/// The files that git knows or would add; all files in a copy without git.
fn tracked() -> Vec<String> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    match Command::new("git").args(list).current_dir(root()).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
        }
        _ => {
            let mut files = Vec::new();
            walk(root(), &mut files);
            files.iter().map(|file| relative(file)).collect()
        }
    }
}

#[test]
fn every_reason_is_documented() {
    let page = fs::read_to_string(root().join("docs/releases.md")).unwrap();
    let rows: Vec<&str> =
        page.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`')).map(|(r, _)| r).collect();
    let reasons = supercargo::api::reason::Reason::ALL;
    none(
        reasons.iter().map(|r| r.as_str().to_owned()).filter(|r| !rows.contains(&r.as_str())).collect(),
        "a reason is missing in the table of docs/releases.md; say what it means and what to do",
    );
}

#[test]
fn every_reason_has_a_section_for_whoever_meets_it() {
    none(
        pages::reasons(&pages::read("docs/troubleshooting.md")),
        "docs/troubleshooting.md has a section for each reason, which begins with what the operator does next",
    );
}

#[test]
fn messages_are_quoted_as_they_are_printed() {
    none(
        pages::messages(&pages::read("docs/troubleshooting.md")),
        "quote what the code says now; what differs from case to case stands in <…>",
    );
}

#[test]
fn pages_that_are_typed_from_name_commands_that_exist() {
    const PAGES: &[&str] = &["troubleshooting", "operations", "install", "webhooks", "logs"];
    let pages = PAGES.iter().map(|page| format!("docs/{page}.md")).chain(["README.md".to_owned()]);
    let runbooks = tracked().into_iter().filter(|path| path.starts_with("docs/runbooks/"));
    let mut found = Vec::new();
    for page in pages.chain(runbooks) {
        let text = pages::read(&page);
        assert!(text.contains("supercargo"), "{page} is not read");
        found.extend(pages::commands(&text).into_iter().map(|what| format!("{page}: {what}")));
    }
    none(found, "name commands and flags as docs/cli.md has them");
}

#[test]
fn links_lead_somewhere() {
    let read = |path: &String| {
        let root = ["README.md", "CHANGELOG.md"].contains(&path.as_str());
        path.ends_with(".md") && (root || path.starts_with("docs/") || path.starts_with("charts/"))
    };
    let found = tracked().iter().filter(|path| read(path)).flat_map(|path| pages::links(path)).collect();
    none(found, "a link leads to a page or a heading that is not there");
}

/// The book shows every page, once.
#[test]
fn the_book_has_every_page() {
    let summary = pages::read("docs/SUMMARY.md");
    let named: Vec<&str> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let shown: BTreeSet<String> = named.iter().map(|page| format!("docs/{page}")).collect();
    assert_eq!(shown.len(), named.len(), "docs/SUMMARY.md names a page twice");
    // The first page is the one of the repository; packaging/book puts it there.
    let mut pages: BTreeSet<String> = BTreeSet::from(["docs/README.md".to_owned()]);
    pages.extend(tracked().into_iter().filter(|path| path.starts_with("docs/") && path.ends_with(".md")));
    pages.remove("docs/SUMMARY.md");
    let missing = pages.difference(&shown).map(|page| format!("{page} is not in docs/SUMMARY.md"));
    let gone = shown.difference(&pages).map(|page| format!("{page} does not exist"));
    none(missing.chain(gone).collect(), "name each page in docs/SUMMARY.md");
}

/// docs/security.md answers each known lapse by tests, by name, or says why it cannot
/// happen here.
#[test]
fn every_lapse_is_answered_by_a_test_that_exists() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let code: String = ["src", "tests"].iter().flat_map(|folder| sources(folder)).map(|s| s.code).collect();
    assert!(page.matches("| Answer |").count() >= 4, "docs/security.md is not read");
    let mut found = Vec::new();
    let mut answers = false;
    for (n, row) in page.lines().enumerate().filter(|(_, row)| !row.starts_with("| ---")) {
        let cell = row.trim_end_matches([' ', '|']).rsplit_once(" | ").map(|(_, cell)| cell);
        let Some(answer) = cell.filter(|_| row.starts_with('|')) else {
            answers = false;
            continue;
        };
        if !answers {
            answers = answer == "Answer";
            continue;
        }
        let tests = answer.split_once("test: ").map_or("", |(_, tests)| tests);
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !answer.contains("Not applicable: ") {
            found.push(format!("line {}: neither `test: ` nor `Not applicable: `", n + 1));
        }
        let missing = names.iter().filter(|name| !code.contains(&format!("fn {name}(")));
        found.extend(missing.map(|name| format!("line {}: there is no test {name}", n + 1)));
    }
    none(found, "docs/security.md names the tests that hold it; name those that there are");
}

/// docs/security.md tells each reason for which we refuse what cosign accepts, as the
/// test that asks both gives it, and no other.
#[test]
fn every_reason_to_be_stricter_than_cosign_is_told() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let section = page.split_once("### Stricter than cosign").map_or("", |(_, rest)| rest);
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter(|row| row.starts_with('|')).skip(2);
    let told: BTreeSet<&str> =
        rows.filter_map(|row| Some(row.strip_suffix(" |")?.rsplit_once(" | ")?.1)).collect();
    let code: String = sources("tests/cluster/matrix").into_iter().map(|s| s.text).collect();
    let given: BTreeSet<&str> =
        code.split("Stricter(\"").skip(1).filter_map(|c| c.split('"').next()).collect();
    assert!(given.len() >= 5, "tests/cluster/matrix is not read: {given:?}");
    none(
        given.symmetric_difference(&told).map(|reason| (*reason).to_owned()).collect(),
        "the table `Stricter than cosign` of docs/security.md and the reasons of tests/cluster/matrix differ",
    );
}

#[test]
fn crates_without_a_fix_stay_out() {
    let denied = fs::read_to_string(root().join("deny.toml")).unwrap();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let unsafe_one =
        |line: &&str| ["RUSTSEC", "advisories", "unsound"].iter().any(|word| line.contains(word));
    let lines = denied.lines().map(str::trim).filter(unsafe_one);
    let names: Vec<&str> = lines.filter_map(|l| l.strip_prefix("{ crate = \"")?.split('"').next()).collect();
    assert!(names.len() >= 5, "deny.toml is not read: {names:?}");
    let present = names.iter().filter(|name| lock.contains(&format!("\nname = \"{name}\"\n")));
    none(
        present.map(|name| (*name).to_owned()).collect(),
        "crates with advisories that have no fix; deny.toml says what to use",
    );
}

/// The first versions without the advisories that docs/security.md names.
const FIXED: &[(&str, &str)] =
    &[("age", "0.11.1"), ("h2", "0.4.16"), ("rustls-webpki", "0.103.13"), ("tar", "0.4.45")];

#[test]
fn crates_are_new_enough() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut found = Vec::new();
    for (name, fixed) in FIXED {
        let places: Vec<&str> = lock.split(&format!("\nname = \"{name}\"\nversion = \"")).skip(1).collect();
        assert!(!places.is_empty(), "{name} is no dependency any more, take it out of FIXED");
        for place in places {
            let version = semver::Version::parse(place.split('"').next().unwrap_or_default()).unwrap();
            if version < semver::Version::parse(fixed).unwrap() {
                found.push(format!("{name} {version} is older than {fixed}"));
            }
        }
    }
    none(found, "update these: the versions have advisories");
}
