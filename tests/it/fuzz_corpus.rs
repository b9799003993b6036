//! The fuzz targets over their seeds and over so many changes of them, the same
//! each time. What a fuzzer finds becomes a seed.

#![expect(clippy::panic, reason = "a body of a fuzz target fails by panicking")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "../../fuzz/bodies.rs"]
mod bodies;

/// Changes of all seeds of a target together, unless `SUPERCARGO_FUZZ_CHANGES` says
/// another number: then they are other changes each time.
const CHANGES: usize = 3000;
/// How much of a failing input is printed, in bytes.
const SHOWN: usize = 4096;
/// What formats give a meaning to.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\n",
    b"---\n",
    b"..",
    b"/",
    b"\\",
    b":",
    b"@",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"[",
    b"{",
    b"}",
    b"\"",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"1e400",
    b"0000777",
    b"./PaxHeaders/x",
    b"sha256:",
    b"{\"a\":[]}",
    b"\xef\xbb\xbf",
    b"\r",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

/// One change: a bit, a byte, a word, a piece less, twice, or of another seed.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut fastrand::Rng) {
    let at = random.usize(..=bytes.len());
    let end = at + random.usize(..=(bytes.len() - at).min(64));
    let from = random.usize(..=other.len());
    let piece = &other[from..from + random.usize(..=(other.len() - from).min(64))];
    match random.u8(..6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
        1 if at < bytes.len() => bytes[at] = random.u8(..),
        2 => drop(bytes.splice(at..at, WORDS[random.usize(..WORDS.len())].iter().copied())),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let twice = bytes[at..end].to_vec();
            bytes.splice(at..at, twice);
        }
        _ => drop(bytes.splice(at..end, piece.iter().copied())),
    }
}

fn run(target: &str, more_seeds: Option<&str>, body: fn(&[u8])) {
    let mut seeds = read(&root().join("fuzz/corpus").join(target));
    seeds.extend(more_seeds.into_iter().flat_map(|dir| read(&root().join(dir))));
    assert!(seeds.len() >= 10, "{target} has {} seeds", seeds.len());
    let attempt = |name: &str, bytes: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| body(bytes))).is_err() {
            let shown = bytes.get(..SHOWN).unwrap_or(bytes).escape_ascii();
            panic!("{target} fails for {name}:\n{shown}");
        }
    };
    for (name, bytes) in &seeds {
        attempt(name, bytes);
    }
    let wanted = std::env::var("SUPERCARGO_FUZZ_CHANGES").ok().and_then(|text| text.parse().ok());
    let (changes, mut random) = match wanted {
        Some(changes) => (changes, fastrand::Rng::new()),
        None => (CHANGES, fastrand::Rng::with_seed(0x5eed)),
    };
    for n in 0..changes {
        let (name, seed) = &seeds[random.usize(..seeds.len())];
        let (_, other) = &seeds[random.usize(..seeds.len())];
        let mut bytes = seed.clone();
        for _ in 0..random.usize(1..=4) {
            change(&mut bytes, other, &mut random);
        }
        attempt(&format!("{name}, change {n}"), &bytes);
    }
}

#[test]
fn fuzz_untar() {
    run("untar", None, bodies::untar);
}

#[test]
fn fuzz_manifest() {
    run("manifest", None, bodies::manifest);
}

#[test]
fn fuzz_reference() {
    run("reference", None, bodies::reference);
}

#[test]
fn fuzz_yaml() {
    run("yaml", Some("tests/fixtures/yaml/cases"), bodies::yaml);
}

#[test]
fn fuzz_bundle() {
    run("bundle", None, bodies::bundle);
}

#[test]
fn fuzz_payload() {
    run("payload", None, bodies::payload);
}
