//! The operator builds what kubectl builds.

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
        let output = processes::command(Tools::get().path("kubectl"))
            .args(["kustomize", "--load-restrictor=LoadRestrictionsNone"])
            .arg(directory.join(overlay.path))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("run kubectl");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !output.stdout.is_empty(), "{}: {errors}", overlay.name);
        let expected = String::from_utf8(output.stdout).expect("text");
        assert_eq!(String::from_utf8_lossy(&built.manifests), expected, "{}", overlay.name);
    }
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
