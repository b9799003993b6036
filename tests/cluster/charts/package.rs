//! Charts: packaged and pushed by Helm itself.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use supercargo_testbed::processes;
use supercargo_testbed::tools::Tools;

use crate::scene::{Scene, SceneBuilder};

/// Files by their names in the chart.
pub type ChartFiles<'a> = &'a [(&'a str, &'a str)];

/// The flag that names the Helm of the image.
pub fn flag() -> String {
    format!("--helm-binary={}", Tools::helm().path("helm").display())
}

/// A scene whose operator has that Helm.
pub async fn charts(name: &str) -> SceneBuilder<'static> {
    Scene::builder(name).await.argument(&flag())
}

/// Runs Helm; returns what it prints.
pub fn helm(directory: &std::path::Path, arguments: &[&str]) -> String {
    let output = try_helm(directory, arguments);
    output.unwrap_or_else(|errors| panic!("helm {}: {errors}", arguments.join(" ")))
}

/// Runs Helm; returns what it prints, or its errors.
pub fn try_helm(directory: &std::path::Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(Tools::helm().path("helm"))
        .args(arguments)
        .current_dir(directory)
        .env("HOME", directory)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .output()
        .expect("run helm");
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).expect("text")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Writes a chart into a directory of its own, which is returned; the chart is in the directory of its
/// name below it.
pub fn write(name: &str, version: &str, files: ChartFiles<'_>) -> PathBuf {
    let directory = processes::directory("chart");
    let root = directory.join(name);
    let meta = format!("apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: \"{version}\"\n");
    for (path, text) in [("Chart.yaml", meta.as_str())].into_iter().chain(files.iter().copied()) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("create a directory");
        fs::write(path, text).expect("write a file");
    }
    directory
}

/// Packages a chart and pushes it to the repository of a release, as people do it. Returns its digest.
pub fn push(scene: &Scene<'_>, release: &str, version: &str, files: ChartFiles<'_>) -> String {
    let repository = scene.repository(release);
    let (parent, name) = repository.rsplit_once('/').expect("a path");
    let directory = write(name, version, files);
    helm(&directory, &["package", name]);
    let target = format!("oci://{}/{parent}", scene.registry().host());
    helm(&directory, &["push", &format!("{name}-{version}.tgz"), &target, "--plain-http"]);
    let digest =
        scene.registry().crane(&["digest", &format!("{}/{repository}:{version}", scene.registry().host())]);
    digest.trim().to_owned()
}
