//! The operator builds what kubectl builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use bytes::Bytes;
use supercargo::builder::{BuildError, Builder, Tree};
use supercargo_testbed::tools::{Tools, files_below};
use supercargo_testbed::{Profiles, processes, repository, story};

use super::overlays::OVERLAYS;
use super::tree::{tree, with_kustomize, write};

const PROFILES: Profiles = Profiles::First("processes that reach no cluster");

#[story]
async fn overlays_are_built_as_kubectl_builds_them() {
    let builder = with_kustomize();
    for overlay in OVERLAYS {
        let built = builder.build("team", tree(overlay.path, overlay.files), 1 << 20).await;
        let built = built.unwrap_or_else(|error| panic!("{}: {error}", overlay.name));
        let directory = processes::directory("overlay");
        write(&directory, overlay.files);
        let output = kubectl(&directory.join(overlay.path));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !output.stdout.is_empty(), "{}: {errors}", overlay.name);
        let expected = String::from_utf8(output.stdout).expect("text");
        assert_eq!(String::from_utf8_lossy(&built.manifests), expected, "{}", overlay.name);
    }
}

/// kubectl reads what it builds from a directory.
fn kubectl(directory: &Path) -> Output {
    processes::command(Tools::get().path("kubectl"))
        .args(["kustomize", "--load-restrictor=LoadRestrictionsNone"])
        .arg(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("run kubectl")
}

/// What comes with the programs of the test bed: the directories that belong together, with their files.
fn published() -> Vec<(PathBuf, Vec<(String, Bytes)>)> {
    let read = |root: PathBuf| {
        let files = files_below(root.clone()).into_iter().map(|file| {
            let path = file.strip_prefix(&root).expect("it is below").to_str().expect("text").to_owned();
            (path, Bytes::from(fs::read(&file).expect("read a file")))
        });
        let files = files.collect();
        (root, files)
    };
    Tools::overlays().into_iter().map(read).collect()
}

fn is_kustomization(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name).then_some(directory)
}

/// Builds one as kubectl does, or fails as kubectl does. Returns whether there is an output.
async fn is_the_same(builder: &Builder, files: &[(String, Bytes)], root: &Path, directory: &str) -> bool {
    let ours = Tree { files: files.to_vec(), directory: directory.to_owned() };
    let built = builder.build("team", ours, 16 << 20).await;
    // kubectl would look for it on the network.
    if let Err(BuildError::Refused(_)) = built {
        return false;
    }
    let place = root.join(directory);
    let output = kubectl(&place);
    let place = place.display();
    let errors = String::from_utf8_lossy(&output.stderr);
    match built {
        Ok(built) => {
            assert!(output.status.success(), "{place}: only kubectl fails: {errors}");
            assert_eq!(built.manifests, output.stdout, "{place}");
            !built.manifests.is_empty()
        }
        Err(BuildError::Unavailable(error)) => panic!("{place}: {error}"),
        Err(error) => {
            assert!(!output.status.success(), "{place}: only kubectl builds it: {error}");
            false
        }
    }
}

#[story]
async fn what_others_publish_is_built_as_kubectl_builds_it() {
    let builder = with_kustomize();
    let mut same = 0;
    for (root, files) in published() {
        for directory in files.iter().filter_map(|(path, _)| is_kustomization(path)) {
            same += usize::from(is_the_same(&builder, &files, &root, directory).await);
        }
    }
    let page = fs::read_to_string(repository().join("docs/kustomizations.md")).expect("read a file");
    let says = format!("{same} kustomizations of other projects");
    assert!(page.replace('\n', " ").contains(&says), "docs/kustomizations.md does not say {says:?}");
}

#[story]
fn the_page_says_how_many_overlays_are_compared() {
    let page = std::fs::read_to_string(repository().join("docs/kustomizations.md")).expect("read a file");
    let says = format!("{} overlays", OVERLAYS.len());
    assert!(page.contains(&says), "docs/kustomizations.md does not say {says:?}");
    let mut names: Vec<&str> = OVERLAYS.iter().map(|overlay| overlay.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), OVERLAYS.len());
}
