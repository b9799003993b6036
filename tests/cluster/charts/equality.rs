//! The operator renders what Helm renders.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use supercargo::builder::{Builder, Chart};
use supercargo::domain::manifest::chart::{ChartInputs, ClusterCapabilities};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, processes, repository, story};

use super::confinement::options;
use super::package::helm;

const PROFILES: Profiles = Profiles::First("processes that reach no cluster");

/// What charts are rendered with, besides their defaults.
const VALUES: &[(&str, &str)] = &[
    (
        "descheduler",
        "kind: Deployment\nreplicas: 2\nleaderElection: {enabled: true}\nservice: {enabled: true}\n",
    ),
    ("external-dns", "provider: {name: aws}\nserviceMonitor: {enabled: true}\npolicy: sync\n"),
    ("flagger", "podMonitor: {enabled: true}\nleaderElection: {enabled: true}\nmeshProvider: kubernetes\n"),
    ("grafana", "user: root\npassword: secret\nurl: http://prometheus:9090\n"),
    (
        "ingress-nginx",
        "controller:\n  kind: DaemonSet\n  metrics: {enabled: true, serviceMonitor: {enabled: true}}\n  config: {use-gzip: true}\n",
    ),
    ("kueue", "enablePrometheus: true\nenableVisibilityAPF: true\ncontrollerManager: {replicas: 2}\n"),
    ("loadtester", "replicaCount: 2\nrbac: {create: true}\nlogLevel: debug\n"),
    ("local-path-provisioner", "replicaCount: 2\nstorageClass: {defaultClass: true}\nnodePathMap: []\n"),
    ("metrics-server", "args: [--kubelet-insecure-tls]\nreplicas: 2\nmetrics: {enabled: true}\n"),
    ("podinfo", "replicaCount: 3\nhpa: {enabled: true}\nredis: {enabled: true}\ningress: {enabled: true}\n"),
];

/// The directories of the charts, by their names.
fn charts() -> BTreeMap<String, PathBuf> {
    let files = Tools::charts().files().into_iter().filter(|file| file.ends_with("Chart.yaml"));
    let directories = files.filter_map(|file| Some(file.parent()?.to_path_buf()));
    directories.map(|path| (path.file_name().expect("a name").display().to_string(), path)).collect()
}

/// The archive of a chart, by Helm.
fn packaged(name: &str, directory: &Path) -> PathBuf {
    let target = processes::directory("packaged");
    helm(&target, &["package", &directory.display().to_string()]);
    let mut files = fs::read_dir(&target).expect("a directory").map(|file| file.expect("a file").path());
    files.find(|file| file.extension().is_some_and(|extension| extension == "tgz")).expect(name)
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
    for (name, directory) in charts() {
        let archive = packaged(&name, &directory);
        let values = VALUES.iter().find(|(chart, _)| *chart == name).expect("values for each chart").1;
        for (n, values) in [None, Some(values)].into_iter().enumerate() {
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
            };
            let built = builder.build("team", chart, 16 << 20).await;
            let built = built.unwrap_or_else(|error| panic!("{name} {n}: {error}"));
            let directory = processes::directory("helm");
            fs::write(directory.join("values.yaml"), values.unwrap_or_default()).expect("write values");
            let archive = archive.display().to_string();
            let versions = api_versions.join(",");
            let mut arguments =
                vec!["template", "web", &archive, "--namespace", "team", "--skip-tests", "--include-crds"];
            arguments.extend(["--kube-version", "v1.36.3", "--api-versions", &versions, "-f", "values.yaml"]);
            let expected = helm(&directory, &arguments);
            assert!(expected.contains("kind: "), "{name} {n}");
            assert!(String::from_utf8_lossy(&built.manifests) == expected, "{name} {n} differs");
        }
    }
}

#[story]
fn the_page_says_how_many_charts_are_compared() {
    let page = fs::read_to_string(repository().join("docs/charts.md")).expect("read a file");
    let names: Vec<String> = charts().into_keys().collect();
    let says = format!("{} charts of other projects", names.len());
    assert!(page.replace('\n', " ").contains(&says), "docs/charts.md does not say {says:?}");
    assert!(names.iter().eq(VALUES.iter().map(|(name, _)| name)), "{names:?}");
}
