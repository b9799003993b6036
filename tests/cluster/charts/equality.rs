//! The operator renders what Helm renders.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use supercargo::builder::{BuildError, Builder, Chart};
use supercargo::domain::manifest::chart::{ChartInputs, ClusterCapabilities};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, processes, repository, story};

use super::confinement::options;
use super::package::try_helm;

const PROFILES: Profiles = Profiles::First("processes that reach no cluster");

/// What charts are rendered with, besides their defaults.
const VALUES: &str =
    "replicas: 3\nreplicaCount: 3\nnameOverride: other\nimage: {tag: '7'}\nservice: {type: NodePort}\n";

/// The archives of the charts that come with the programs of the test bed, by Helm; of those that Helm packs.
fn charts() -> Vec<PathBuf> {
    let target = processes::directory("packaged");
    let files = Tools::charts().files().into_iter().filter(|file| file.ends_with("Chart.yaml"));
    let directories: Vec<PathBuf> = files.filter_map(|file| Some(file.parent()?.to_path_buf())).collect();
    let is_below = |directory: &PathBuf| {
        directories.iter().any(|other| other != directory && directory.starts_with(other))
    };
    for directory in directories.iter().filter(|directory| !is_below(directory)) {
        // Some are there to be refused.
        drop(try_helm(&target, &["package", &directory.display().to_string()]));
    }
    let packed = fs::read_dir(&target).expect("a directory").map(|file| file.expect("a file").path());
    let mut packed: Vec<PathBuf> =
        packed.filter(|file| file.extension().is_some_and(|extension| extension == "tgz")).collect();
    packed.sort();
    packed
}

/// The files of a packaged chart.
fn files(archive: &PathBuf) -> Vec<(String, Bytes)> {
    let bytes = fs::read(archive).expect("read a chart");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let entries = archive.entries().expect("an archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a file");
        (name, content.into())
    });
    entries.collect()
}

#[story]
async fn charts_are_rendered_as_helm_renders_them() {
    let builder = Builder::new(options());
    let api_versions =
        ["v1", "apps/v1", "monitoring.coreos.com/v1", "monitoring.coreos.com/v1/ServiceMonitor"];
    let capabilities = Arc::new(ClusterCapabilities {
        kube_version: "v1.36.3".to_owned(),
        api_versions: api_versions.map(str::to_owned).to_vec(),
    });
    let mut same = 0;
    for archive in charts() {
        let name = archive.file_name().expect("a name").display().to_string();
        for values in [None, Some(VALUES)] {
            let inputs = ChartInputs {
                release_name: "web".to_owned(),
                values: values.into_iter().map(|values| values.as_bytes().to_vec()).collect(),
                ..ChartInputs::default()
            };
            let chart = Chart {
                files: files(&archive),
                namespace: "team".to_owned(),
                inputs,
                capabilities: Some(Arc::clone(&capabilities)),
                recorded: false,
            };
            let built = builder.build("team", chart, 16 << 20).await;
            let directory = processes::directory("helm");
            fs::write(directory.join("values.yaml"), values.unwrap_or_default()).expect("write values");
            let archive = archive.display().to_string();
            let versions = api_versions.join(",");
            let mut arguments = vec!["template", "web", &archive, "--namespace", "team", "--include-crds"];
            arguments.extend(["--kube-version", "v1.36.3", "--api-versions", &versions, "-f", "values.yaml"]);
            match (built, try_helm(&directory, &arguments)) {
                (Ok(built), Ok(expected)) => {
                    assert_eq!(String::from_utf8_lossy(&built.manifests), expected, "{name}");
                    same += usize::from(values.is_none() && expected.contains("kind: "));
                }
                (Err(BuildError::Failed(_)), Err(_)) => {}
                (built, expected) => panic!("{name}: {built:?}\nHelm: {expected:?}"),
            }
        }
    }
    let page = fs::read_to_string(repository().join("docs/charts.md")).expect("read a file");
    let says = format!("{same} charts of other projects");
    assert!(page.replace('\n', " ").contains(&says), "docs/charts.md does not say {says:?}");
}
