//! Who may use what: the doors between the rooms of `src`, and the rooms where
//! the types of a library may appear.

use crate::source::{Source, line};

const ALL: &[&str] = &[
    "api",
    "domain",
    "builder",
    "oci",
    "cluster",
    "reconcile",
    "controller",
    "cli",
    "ui",
    "egress",
    "fair",
    "notify",
    "observe",
    "error",
];

/// Room → rooms that it may name. `main` wires everything; `cli` holds the
/// flags of the controller as a plain value, which `main` hands on.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", ALL),
    ("lib", ALL),
    ("cli", &["ui", "reconcile", "builder", "oci", "cluster", "domain", "api", "fair", "observe", "error"]),
    (
        "controller",
        &["reconcile", "builder", "oci", "cluster", "notify", "domain", "api", "fair", "observe", "error"],
    ),
    ("ui", &["reconcile", "builder", "oci", "cluster", "domain", "api", "fair", "observe"]),
    ("reconcile", &["builder", "oci", "cluster", "domain", "api", "fair", "observe"]),
    ("builder", &["domain", "api", "fair"]),
    ("oci", &["domain", "api", "egress", "fair", "observe"]),
    ("cluster", &["domain", "api", "fair", "observe"]),
    ("egress", &["domain"]),
    ("fair", &["domain"]),
    ("notify", &["domain", "api", "egress", "fair", "observe"]),
    ("observe", &["domain", "api"]),
    ("error", &["reconcile", "oci", "cluster", "domain", "api", "observe"]),
    ("domain", &["api"]),
    ("api", &[]),
];

/// Crate → paths below `src/` where it may be named. Crates that are not here
/// are plain tools that leave no type at a door.
const LIBRARIES: &[(&str, &[&str])] = &[
    // The exporter of traces, a program's own connection, has a client of its own.
    ("reqwest", &["oci/", "notify/", "observe/otlp.rs"]),
    ("opentelemetry", &["observe/otlp.rs"]),
    ("opentelemetry_sdk", &["observe/otlp.rs"]),
    ("opentelemetry_otlp", &["observe/otlp.rs"]),
    ("tracing_opentelemetry", &["observe/otlp.rs"]),
    ("tar", &["oci/", "builder/directory.rs"]),
    ("flate2", &["oci/", "builder/directory.rs"]),
    // Releases at rest are packed.
    ("zstd", &["oci/", "domain/process/kept/packed.rs"]),
    ("age", &["oci/"]),
    (
        "zeroize",
        &[
            "oci/",
            "cluster/accounts.rs",
            "domain/process/remote/kubeconfig.rs",
            "domain/release/inputs/data.rs",
        ],
    ),
    ("similar", &["domain/manifest/diff/"]),
    ("croner", &["domain/release/guards/windows.rs"]),
    ("sigstore_verify", &["domain/verify/"]),
    // Signatures, and comparisons that tell nothing by their time.
    (
        "aws_lc_rs",
        &[
            "domain/verify/",
            "domain/artifact/webhook/receiver.rs",
            "domain/plan/changeset/seal.rs",
            "domain/run/notify/format/request.rs",
            "oci/auth/provider/sigv4.rs",
            "reconcile/env/plan_keys.rs",
            "ui/entry/seal.rs",
        ],
    ),
    ("x509_cert", &["domain/verify/"]),
    // `api` derives the custom resource.
    ("kube", &["cluster/", "api/"]),
    // `domain::status` computes the conditions of the wire.
    ("k8s_openapi", &["cluster/", "api/", "domain/status.rs", "domain/status/"]),
    ("schemars", &["api/"]),
    ("libyaml_safer", &["domain/manifest/"]),
    ("axum", &["observe/", "ui/"]),
    ("maud", &["ui/view/"]),
    ("prometheus", &["observe/"]),
    ("tracing_subscriber", &["observe/"]),
    ("clap", &["cli/", "main.rs"]),
    ("clap_complete", &["cli/"]),
    ("indicatif", &["cli/print/progress.rs"]),
    ("tikv_jemallocator", &["main.rs"]),
    // Limits of processes, and their end.
    ("rustix", &["main.rs", "builder/"]),
    ("landlock", &["builder/sandbox/"]),
    ("seccompiler", &["builder/sandbox/"]),
    ("libc", &["builder/sandbox/"]),
];

/// What the pure rooms do not name.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "futures",
    "reqwest",
    "hyper",
    "rand",
    "tracing",
    "kube::Client",
    "kube::Api",
    "kube::client",
    "kube::api",
    "kube::runtime",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "async fn",
    "async move",
    ".await",
];

pub fn rooms(source: &Source) -> Vec<String> {
    let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room()) else {
        return vec![format!(
            "{}: the room {} is not in ROOMS of tests/tidy/doors.rs",
            source.path,
            source.room()
        )];
    };
    let mut found = Vec::new();
    for (at, room) in named_rooms(source) {
        if ALL.contains(&room.as_str()) && room != source.room() && !allowed.contains(&room.as_str()) {
            found.push(format!(
                "{}:{}: {} names {room}",
                source.path,
                line(&source.product, at),
                source.room()
            ));
        }
    }
    found
}

pub fn purity(source: &Source) -> Vec<String> {
    if !["domain", "api"].contains(&source.room()) {
        return Vec::new();
    }
    let hits = IMPURE.iter().flat_map(|word| words(&source.product, word).map(move |at| (at, word)));
    hits.map(|(at, word)| format!("{}:{}: {word}", source.path, line(&source.product, at))).collect()
}

pub fn third_party(source: &Source) -> Vec<String> {
    let inside = source.path.trim_start_matches("src/");
    let mut found = Vec::new();
    for (library, doors) in LIBRARIES {
        if doors.iter().any(|door| inside.starts_with(door)) {
            continue;
        }
        for at in words(&source.product, library).filter(|at| is_crate(&source.product, *at, library)) {
            let doors = doors.join(" and ");
            found.push(format!(
                "{}:{}: {library} belongs to {doors}",
                source.path,
                line(&source.product, at)
            ));
        }
    }
    found
}

/// The statements of a module file, attributes taken off.
pub fn statements(code: &str) -> Vec<String> {
    let mut rest = code.trim();
    let mut statements = Vec::new();
    while !rest.is_empty() {
        if rest.starts_with("#[") || rest.starts_with("#![") {
            rest = rest.split_once(']').map_or("", |(_, after)| after).trim_start();
            continue;
        }
        let (statement, after) = rest.split_once(';').unwrap_or((rest, ""));
        statements.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
        rest = after.trim_start();
    }
    statements
}

pub fn is_declaration(statement: &str) -> bool {
    let item = match statement.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map_or("", |(_, item)| item).trim_start(),
        Some(rest) => rest.trim_start(),
        None => statement,
    };
    let inline = item.starts_with("mod ") && item.contains('{');
    (item.starts_with("mod ") || item.starts_with("use ")) && !inline
}

/// Positions of a word that is not a part of a longer one.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = !word.starts_with('.') && part(code[..*at].chars().next_back());
        !before && !part(code[at + word.len()..].chars().next())
    })
}

/// Whether the name at a position is a crate: the head of a path or of a `use`,
/// and not a module of ours or a field of that name.
fn is_crate(code: &str, at: usize, name: &str) -> bool {
    let before = code[..at].trim_end();
    let after = code[at + name.len()..].trim_start();
    let inner = before.ends_with('.') || before.ends_with("::") && !before.ends_with(" ::");
    let imported = before.ends_with("use") && (after.starts_with(';') || after.starts_with("as "));
    let grouped = in_own_group(before);
    !inner && !grouped && (after.starts_with("::") || imported)
}

/// Whether the position is inside of a `use crate::{…}` or `use super::{…}`.
fn in_own_group(before: &str) -> bool {
    let statement = before.rsplit(';').next().unwrap_or(before).trim_start();
    let head = statement.trim_start_matches("pub ").trim_start();
    head.starts_with("use ") && head.contains("::{")
}

/// The rooms that a file names by `crate::`, `supercargo::` or `super::`.
fn named_rooms(source: &Source) -> Vec<(usize, String)> {
    let code = &source.product;
    let mut named = Vec::new();
    for root in ["crate", "supercargo"] {
        for at in words(code, root) {
            if let Some(rest) = code[at + root.len()..].strip_prefix("::") {
                named.extend(heads(rest).into_iter().map(|head| (at, head)));
            }
        }
    }
    let depth = source.modules().len();
    for at in words(code, "super") {
        if code[..at].ends_with("::") {
            continue;
        }
        let mut rest = &code[at..];
        let mut climbed = 0;
        while let Some(after) = rest.strip_prefix("super::") {
            (rest, climbed) = (after, climbed + 1);
        }
        if climbed >= depth {
            named.extend(heads(rest).into_iter().map(|head| (at, head)));
        }
    }
    named
}

/// The first names of a path, or of each path of a group.
fn heads(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
        rule(&Source::new(path, text))
    }

    #[test]
    fn rooms_are_found_however_they_are_named() {
        let check = |path: &str, text: &str, expected: &[&str]| {
            assert_eq!(found(rooms, path, text), expected, "{text}");
        };
        check("src/oci/a.rs", "use crate::domain::x;\nuse crate::observe;", &[]);
        check("src/oci/a.rs", "\nuse crate::cluster::x;", &["src/oci/a.rs:2: oci names cluster"]);
        check(
            "src/oci/a.rs",
            "use crate::{api::{x, y}, domain, reconcile::z,\n cli as c};",
            &["src/oci/a.rs:1: oci names reconcile", "src/oci/a.rs:1: oci names cli"],
        );
        check("src/domain/a/b.rs", "fn f() { crate::oci::g() }", &["src/domain/a/b.rs:1: domain names oci"]);
        check("src/domain/a/b.rs", "use super::super::oci;", &[]);
        check(
            "src/domain/a/b.rs",
            "use super::super::super::oci;",
            &["src/domain/a/b.rs:1: domain names oci"],
        );
        check("src/domain/a.rs", "// crate::oci\nconst A: &str = \"crate::oci\";", &[]);
        check("src/domain/a.rs", "#[cfg(test)]\nmod tests { use crate::oci; }", &[]);
        check("src/cli/a.rs", "use crate::controller;", &["src/cli/a.rs:1: cli names controller"]);
        check("src/main.rs", "use supercargo::{cli, controller};", &[]);
        check(
            "src/attic/a.rs",
            "",
            &["src/attic/a.rs: the room attic is not in ROOMS of tests/tidy/doors.rs"],
        );
    }

    #[test]
    fn impure_code_is_found() {
        let check = |text: &str, expected: usize| {
            assert_eq!(found(purity, "src/domain/a.rs", text).len(), expected, "{text}");
        };
        check("let now = jiff::Timestamp::now();", 1);
        check("pub async fn a() { b().await }", 2);
        check("use std::{fmt, time::Duration};", 0);
        check("let operand = brand::x;", 0);
        check("/// tokio is not here", 0);
        assert!(found(purity, "src/oci/a.rs", "use tokio::fs;").is_empty());
    }

    #[test]
    fn libraries_are_found_outside_of_their_room() {
        let check = |path: &str, text: &str, expected: usize| {
            assert_eq!(found(third_party, path, text).len(), expected, "{path}: {text}");
        };
        check("src/oci/a.rs", "use reqwest::Client;", 0);
        check("src/reconcile/a.rs", "use reqwest::Client;", 1);
        check("src/reconcile/a.rs", "use reqwest;", 1);
        check("src/reconcile/a.rs", "fn f(c: ::reqwest::Client, d: tar::Archive) {}", 2);
        check("src/reconcile/a.rs", "use crate::oci::{tar::x, zstd};\nself.tar.len();", 0);
        check("src/domain/manifest/yaml.rs", "use libyaml_safer::Parser;", 0);
        check("src/domain/plan/build.rs", "use libyaml_safer::Parser;", 1);
        check("src/controller/a.rs", "kube::Client::try_default()", 1);
    }

    #[test]
    fn declarations_are_told_from_logic() {
        let check = |code: &str, expected: bool| {
            assert_eq!(statements(code).iter().all(|s| is_declaration(s)), expected, "{code}");
        };
        check("mod a;\npub mod b;\npub(crate) use b::{C, D};\n#[cfg(test)]\nmod tests;", true);
        check("fn a() {}", false);
        check("mod a;\nconst B: u8 = 1;", false);
        check("mod a { fn b() {} }", false);
    }
}
