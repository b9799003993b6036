//! The real helm on charts/supercargo, with everything that it writes in a
//! directory of the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{bed, processes, repository};

/// The chart.
pub fn chart() -> PathBuf {
    repository().join("charts/supercargo")
}

/// Runs helm, as the user of a kubeconfig when there is one.
pub fn helm(kubeconfig: Option<&Path>, arguments: &[&str]) -> Output {
    let directory = processes::directory("helm");
    let mut command: Command = processes::command(Tools::get().path("helm"));
    command.args(arguments).env("HOME", &directory).env_remove("HELM_NAMESPACE");
    for place in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{place}_HOME"), directory.join(place));
    }
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/nonexistent")));
    bed::run(&mut command, "")
}

/// What helm has printed; panics with its complaint when it failed.
pub fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", complaint(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What helm complained about.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `helm template` of the chart as release `supercargo` in `supercargo-system`.
pub fn template(arguments: &[&str]) -> Output {
    let chart = chart();
    let chart = chart.to_str().expect("the repository's path is text");
    helm(None, &[&["template", "supercargo", chart, "--namespace=supercargo-system"], arguments].concat())
}

/// The objects of a text of several documents.
pub fn objects(yaml: &str) -> Vec<Value> {
    let documents = yaml.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    let read = |text: &str| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    documents.map(read).filter(|object: &Value| !object.is_null()).collect()
}

/// `Kind/namespace/name`.
pub fn name_of(object: &Value) -> String {
    let field = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}/{}", field("/kind"), field("/metadata/namespace"), field("/metadata/name"))
}
