//! What the release workflow makes of a binary: archives, and what package managers install by. The
//! scripts are those that it runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
const ARCHITECTURES: [(&str, &str); 2] = [("amd64", "x86_64"), ("arm64", "aarch64")];

/// Runs a script of the repository; its stderr where it fails.
fn script(name: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name));
    let output = command.args(arguments).env("SOURCE_DATE_EPOCH", "1700000000").output().expect("a script");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A program in the place of the binary.
fn stand_in(directory: &Path) -> String {
    let path = directory.join("built");
    fs::write(&path, format!("#!/bin/sh\necho \"supercargo {VERSION} $1\"\n")).expect("write a file");
    path.display().to_string()
}

fn archive(directory: &Path, architecture: &str) -> Vec<u8> {
    let name = format!("supercargo-{VERSION}-linux-{architecture}.tar.gz");
    fs::read(directory.join(name)).expect("the archive")
}

/// The archives of both architectures, in a directory.
fn packed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let (binary, place) = (stand_in(directory.path()), directory.path().display().to_string());
    for (architecture, _) in ARCHITECTURES {
        script("archive", &[&binary, VERSION, architecture, &place]).expect("an archive");
    }
    directory
}

#[test]
fn archives_are_the_same_each_time_and_have_a_program_that_runs() {
    let (one, other) = (packed(), packed());
    assert_eq!(archive(one.path(), "amd64"), archive(other.path(), "amd64"));
    let unpacked = tempfile::tempdir().expect("a directory");
    let name = one.path().join(format!("supercargo-{VERSION}-linux-amd64.tar.gz"));
    let status = Command::new("tar").arg("-xzf").arg(name).current_dir(unpacked.path()).status();
    assert!(status.expect("tar").success());
    let mut files: Vec<String> = fs::read_dir(unpacked.path())
        .expect("the files")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, ["LICENSE", "supercargo"]);
    let said = Command::new(unpacked.path().join("supercargo")).arg("version").output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("supercargo {VERSION} version\n"));
    let refused = script("archive", &[&stand_in(one.path()), VERSION, "s390x", "/nonexistent"]);
    assert!(refused.unwrap_err().contains("unknown architecture s390x"));
}

#[test]
fn package_managers_download_what_was_packed() {
    let directory = packed();
    let place = directory.path().display().to_string();
    let missing = tempfile::tempdir().expect("a directory");
    let refused = script("manifests", &[VERSION, REPOSITORY, &missing.path().display().to_string()]);
    assert!(refused.unwrap_err().contains("does not exist; write it with packaging/archive"));
    script("manifests", &[VERSION, REPOSITORY, &place]).expect("the manifests");
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("a manifest");
    let (formula, krew) = (read("supercargo.rb"), read("krew.yaml"));
    let plugin: Value = serde_saphyr::from_str(&krew).expect("YAML");
    // krew's own rules for a manifest.
    assert_eq!(plugin["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!((&plugin["kind"], &plugin["metadata"]["name"]), (&"Plugin".into(), &"supercargo".into()));
    assert_eq!(plugin["spec"]["version"], format!("v{VERSION}"));
    assert!(plugin["spec"]["shortDescription"].as_str().is_some_and(|text| text.len() < 80));
    let platforms = plugin["spec"]["platforms"].as_array().expect("platforms");
    assert_eq!(platforms.len(), ARCHITECTURES.len());
    for ((architecture, target), platform) in ARCHITECTURES.iter().zip(platforms) {
        let url = format!(
            "{REPOSITORY}/releases/download/v{VERSION}/supercargo-{VERSION}-linux-{architecture}.tar.gz"
        );
        let hash = hex::encode(Sha256::digest(archive(directory.path(), architecture)));
        assert_eq!(platform["selector"]["matchLabels"]["arch"], *architecture);
        assert_eq!((&platform["uri"], &platform["sha256"]), (&url.clone().into(), &hash.clone().into()));
        let at = formula.find(&format!("url \"{url}\"")).expect("the formula has it");
        assert!(formula[at..].lines().nth(1).is_some_and(|line| line.trim() == format!("sha256 \"{hash}\"")));
        for libc in ["gnu", "musl"] {
            assert_eq!(binstall(&format!("{target}-unknown-linux-{libc}")), url);
        }
    }
    // Where Ruby is at hand, it reads the formula.
    if let Ok(checked) = Command::new("ruby").arg("-c").arg(directory.path().join("supercargo.rb")).output() {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// What cargo binstall downloads for a target, by Cargo.toml.
fn binstall(target: &str) -> String {
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    let (_, section) = manifest
        .split_once(&format!("[package.metadata.binstall.overrides.{target}]\n"))
        .expect("its section");
    let url = section.lines().next().and_then(|line| line.strip_prefix("pkg-url = \"")).expect("its URL");
    let url = url.trim_end_matches('"').replace("{ repo }", REPOSITORY).replace("{ version }", VERSION);
    url.replace("{ name }", "supercargo")
}

#[test]
fn everything_names_one_repository() {
    let read = |path: &str| fs::read_to_string(path).expect("a file");
    let owner = REPOSITORY
        .strip_prefix("https://github.com/")
        .and_then(|rest| rest.split_once('/'))
        .expect("its owner")
        .0;
    let chart: Value = serde_saphyr::from_str(&read("charts/supercargo/Chart.yaml")).expect("YAML");
    assert_eq!((&chart["home"], &chart["sources"][0]), (&REPOSITORY.into(), &REPOSITORY.into()));
    let icon = chart["icon"].as_str().and_then(|icon| icon.split_once("/main/")).expect("an icon").1;
    assert!(Path::new(icon).is_file(), "{icon}");
    let readme = read("README.md");
    assert!(readme.contains(&format!("oci://ghcr.io/{owner}/charts/supercargo")));
    assert!(readme.contains(&format!("cargo binstall --git {REPOSITORY} supercargo")));
    assert!(read("packaging/book.toml").contains(&format!("git-repository-url = \"{REPOSITORY}\"")));
    // The workflow publishes only from there.
    assert!(read(".github/workflows/release.yaml").contains("test \"$home\" = \"$SERVER/$REPOSITORY\""));
}
