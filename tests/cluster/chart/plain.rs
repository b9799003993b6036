//! `config/` for kubectl and the chart for helm install the same.

use std::collections::BTreeMap;

use serde_json::Value;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, bed, processes, repository, story};

use super::helm;

const PROFILES: Profiles = Profiles::First("its operators have the rights that the chart gives them there");

/// Labels that say who installs.
const INSTALLERS: &[&str] = &["helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"];

/// The objects of a directory of config/.
pub fn kustomized(overlay: &str) -> Vec<Value> {
    let mut command = processes::command(Tools::get().path("kubectl"));
    command.arg("kustomize").arg(repository().join("config").join(overlay));
    let output = bed::run(&mut command, "");
    helm::objects(&helm::printed(&output))
}

/// By name, without what only one of both has, and its reason.
fn comparable(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for mut object in objects {
        // helm makes no namespaces; for kubectl the definition is apart, in config/crd.
        if object["kind"] == "Namespace" || object["kind"] == "CustomResourceDefinition" {
            continue;
        }
        if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
            labels.retain(|label, _| !INSTALLERS.contains(&label.as_str()));
        }
        assert!(all.insert(helm::name_of(&object), object).is_none(), "two of the same name");
    }
    all
}

fn check(overlay: &str, values: &str) {
    let plain = comparable(kustomized(overlay));
    let chart = comparable(helm::rendered("supercargo-system", values));
    assert!(plain.len() >= 10, "{:?}", plain.keys());
    assert_eq!(plain.keys().collect::<Vec<_>>(), chart.keys().collect::<Vec<_>>(), "config/{overlay}");
    for (name, object) in &plain {
        let other = &chart[name];
        assert_eq!(
            object, other,
            "{name} of config/{overlay} and of the chart differ:\n{object:#}\n{other:#}"
        );
    }
}

#[story]
fn the_chart_and_config_install_the_same() {
    check("default", "");
    check("cluster-admin", "clusterAdmin: true");
    check("page", "ui: {enabled: true}");
    check("shards", "shards: auto");
}

#[story]
fn the_chart_installs_the_definition_as_it_is_and_helm_keeps_it() {
    let crd = repository().join("config/crd/supercargo.dev_ociartifactreleases.yaml");
    let plain = helm::objects(&std::fs::read_to_string(crd).expect("config/crd has the definition"));
    let chart = helm::rendered("supercargo-system", "");
    let name = "ociartifactreleases.supercargo.dev";
    let chart = helm::find(&chart, "CustomResourceDefinition", name).expect("a definition");
    // No number or text of it may change on the way through the template.
    assert_eq!(numbers(plain[0]["spec"].clone()), numbers(chart["spec"].clone()));
    assert_eq!(chart["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let without = helm::rendered("supercargo-system", "crds: {install: false}");
    assert!(helm::find(&without, "CustomResourceDefinition", name).is_none());
}

/// With 1.0 as 1: the same to an API server.
fn numbers(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, field)| (name, numbers(field))).collect(),
        Value::Number(number) => number.as_f64().into(),
        other => other,
    }
}
