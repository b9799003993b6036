//! Alerts and dashboards get into the cluster as they are in the chart.

use std::path::{Path, PathBuf};

use serde_json::Value;
use supercargo_testbed::{Profiles, story};

use super::helm;

const PROFILES: Profiles = Profiles::First("its operators have the rights that the chart gives them there");

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let listed =
        std::fs::read_dir(directory).into_iter().flatten().filter_map(|file| Some(file.ok()?.path()));
    listed.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

#[story]
fn the_rules_are_those_of_the_file() {
    let Ok(plain) = std::fs::read_to_string(helm::chart().join("rules/supercargo.yaml")) else { return };
    let plain: Value = serde_saphyr::from_str(&plain).expect("YAML");
    let objects =
        helm::rendered("monitoring", "prometheusRule: {enabled: true, labels: {release: prometheus}}");
    let rule = helm::find(&objects, "PrometheusRule", "supercargo").expect("a rule");
    assert_eq!(rule["spec"], plain);
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
}

#[story]
fn each_dashboard_is_a_config_map_that_grafana_finds() {
    let dashboards = files(&helm::chart().join("dashboards"), "json");
    let values = "dashboards: {enabled: true, namespace: grafana, folder: Delivery}";
    let objects = helm::rendered("monitoring", values);
    for path in dashboards {
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let name = format!("supercargo-dashboard-{}", file.trim_end_matches(".json"));
        let map = helm::find(&objects, "ConfigMap", &name).expect("a ConfigMap");
        let text = map["data"][file].as_str().expect("the dashboard");
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(read(text), read(&std::fs::read_to_string(&path).expect("read a file")));
        assert_eq!(map["metadata"]["namespace"], "grafana");
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
        assert_eq!(map["metadata"]["annotations"]["grafana_folder"], "Delivery");
    }
}
