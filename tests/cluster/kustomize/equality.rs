//! The operator builds what kubectl builds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use bytes::Bytes;
use supercargo::builder::{BuildError, Builder, Tree};
use supercargo_testbed::tools::Tools;
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

/// What others publish, by the directories that belong together.
fn published() -> BTreeMap<String, Vec<(String, Bytes)>> {
    let root = Tools::overlays().directory();
    let mut trees: BTreeMap<String, Vec<(String, Bytes)>> = BTreeMap::new();
    for file in Tools::overlays().files() {
        let path = file.strip_prefix(&root).expect("it is below").to_str().expect("text");
        let (tree, path) = path.split_once('/').expect("each module has a directory");
        let content = Bytes::from(fs::read(&file).expect("read a file"));
        trees.entry(tree.to_owned()).or_default().push((path.to_owned(), content));
    }
    trees
}

fn is_kustomization(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name).then_some(directory)
}

/// Builds one as kubectl does, or fails as kubectl does. Returns whether there is an output.
async fn is_the_same(builder: &Builder, files: &[(String, Bytes)], tree: &str, directory: &str) -> bool {
    let ours = Tree { files: files.to_vec(), directory: directory.to_owned() };
    let built = builder.build("team", ours, 16 << 20).await;
    let output = kubectl(&Tools::overlays().directory().join(tree).join(directory));
    let errors = String::from_utf8_lossy(&output.stderr);
    match built {
        Ok(built) => {
            assert!(output.status.success(), "{tree}/{directory}: only kubectl fails: {errors}");
            assert_eq!(built.manifests, output.stdout, "{tree}/{directory}");
            !built.manifests.is_empty()
        }
        Err(BuildError::Unavailable(error)) => panic!("{tree}/{directory}: {error}"),
        Err(error) => {
            assert!(!output.status.success(), "{tree}/{directory}: only kubectl builds it: {error}");
            false
        }
    }
}

#[story]
async fn what_others_publish_is_built_as_kubectl_builds_it() {
    let builder = with_kustomize();
    let (mut examples, mut projects) = (0, 0);
    for (tree, files) in published() {
        for directory in files.iter().filter_map(|(path, _)| is_kustomization(path)) {
            let counted = if tree == "examples" { &mut examples } else { &mut projects };
            *counted += usize::from(is_the_same(&builder, &files, &tree, directory).await);
        }
    }
    let page = fs::read_to_string(repository().join("docs/kustomizations.md")).expect("read a file");
    let says =
        format!("{projects} kustomizations of other projects and {examples} of kustomize's own examples");
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
