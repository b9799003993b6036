//! The real helm on charts/supercargo, with everything that it writes in a
//! directory of the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{bed, processes, repository};

/// The APIs that helm is told of where no cluster is asked.
pub const MONITORING: &str = "--api-versions=monitoring.coreos.com/v1";

/// The chart.
pub fn chart() -> PathBuf {
    repository().join("charts/supercargo")
}

/// Runs helm, as the user of a kubeconfig when there is one.
pub fn helm(kubeconfig: Option<&Path>, arguments: &[&str]) -> Output {
    let directory = processes::directory("helm");
    let mut command: Command = processes::command(Tools::helm().path("helm"));
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

/// A command of helm that takes a chart, on this one, as release `supercargo` in a
/// namespace, with values as YAML.
pub fn with_values(
    kubeconfig: Option<&Path>,
    verb: &[&str],
    namespace: &str,
    values: &str,
    flags: &[&str],
) -> Output {
    let file = processes::directory("values").join("values.yaml");
    std::fs::write(&file, values).expect("write a file");
    let (chart, file) = (chart().display().to_string(), format!("--values={}", file.display()));
    let namespace = format!("--namespace={namespace}");
    helm(kubeconfig, &[verb, &[&chart, &namespace, &file], flags].concat())
}

/// `helm template` with values as YAML.
pub fn template(namespace: &str, values: &str, flags: &[&str]) -> Output {
    with_values(None, &["template", "supercargo"], namespace, values, flags)
}

/// The objects of a text of several documents.
pub fn objects(yaml: &str) -> Vec<Value> {
    let documents = yaml.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    let read = |text: &str| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    documents.map(read).filter(|object: &Value| !object.is_null()).collect()
}

/// The objects that values make.
pub fn rendered(namespace: &str, values: &str) -> Vec<Value> {
    objects(&printed(&template(namespace, values, &[MONITORING])))
}

/// `Kind/namespace/name`.
pub fn name_of(object: &Value) -> String {
    let field = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}/{}", field("/kind"), field("/metadata/namespace"), field("/metadata/name"))
}

/// An object by its kind and name.
pub fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}
