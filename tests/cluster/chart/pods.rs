//! What a kubelet would make of a pod of the chart: the process that its container
//! describes, with its volumes in a directory and its ports on loopback.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use supercargo_testbed::operator::Options;
use supercargo_testbed::{Account, Bed, ports, processes};

use crate::scene::BINARY;

/// What the test bed gives every operator itself, and how the chart has it.
const BEDS_OWN: &[&str] = &[
    "--metrics-addr=0.0.0.0:8080",
    "--cache-dir=/var/cache/supercargo",
    "--build-dir=/var/lib/supercargo/builds",
    "--leader-election-namespace=",
];

/// The newest pod of the chart in a namespace.
pub fn newest(bed: &Bed, namespace: &str) -> Value {
    let get =
        ["--namespace", namespace, "get", "pods", "-l", "app.kubernetes.io/name=supercargo", "-o", "json"];
    let pods: Value = serde_json::from_str(&bed.kubectl(&get, "")).expect("JSON");
    let live = pods["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|p| p["metadata"]["deletionTimestamp"].is_null());
    // A template that changed is a new ReplicaSet, whose number is in this label only.
    let newest =
        live.max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned());
    newest.cloned().expect("a pod")
}

/// The arguments of the pod's container, as they are rendered.
pub fn arguments(pod: &Value) -> Vec<String> {
    texts(&pod["spec"]["containers"][0]["args"])
}

fn texts(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.map(|text| text.as_str().expect("text").to_owned()).collect()
}

/// How to start the pod's process, with the token of its account.
pub fn options(bed: &Bed, namespace: &str, pod: &Value) -> Options {
    let account = Account::existing(bed, namespace);
    let container = &pod["spec"]["containers"][0];
    let moved = volumes(bed, namespace, pod);
    let place = |text: String| {
        moved.iter().fold(text, |text, (path, directory)| text.replace(path.as_str(), directory.as_str()))
    };
    let environment = environment(pod);
    let mut options = Options::new(BINARY, &account);
    let mut arguments = texts(&container["args"]).into_iter().map(|text| expand(&text, &environment));
    assert_eq!(arguments.next().as_deref(), Some("controller"));
    let mut own = 0;
    for argument in arguments {
        if BEDS_OWN.iter().any(|own| argument.starts_with(own)) {
            own += 1;
            continue;
        }
        if let Some(lease) = argument.strip_prefix("--leader-election-name=") {
            options = options.lease(lease);
            continue;
        }
        let port = ["--webhook-addr=", "--health-addr="].into_iter().find(|flag| argument.starts_with(flag));
        let argument = match port {
            Some(flag) => format!("{flag}127.0.0.1:{}", ports::free()),
            None => place(argument),
        };
        options = options.argument(&argument);
    }
    assert_eq!(own, BEDS_OWN.len(), "{container:#}");
    for (name, value) in environment {
        options = options.env(&name, &place(value));
    }
    options
}

/// The variables, as the kubelet makes them.
fn environment(pod: &Value) -> Vec<(String, String)> {
    let service = ("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned());
    let mut known = vec![service];
    for variable in pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().expect("a name").to_owned();
        let value = match variable.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str) {
            Some(path) => pod.pointer(&format!("/{}", path.replace('.', "/"))).cloned().expect("the field"),
            None => variable["value"].clone(),
        };
        let value = expand(value.as_str().expect("text"), &known);
        known.push((name, value));
    }
    // Given by the kubelet whatever the pod says; the process must not take itself
    // for one in a cluster.
    known.split_off(1)
}

/// Replaces `$(NAME)`.
fn expand(text: &str, variables: &[(String, String)]) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
}

/// Writes what is mounted of ConfigMaps and Secrets; the path of each mount and
/// where it is.
fn volumes(bed: &Bed, namespace: &str, pod: &Value) -> BTreeMap<String, String> {
    let mut moved = BTreeMap::new();
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().expect("mounts");
    for volume in pod["spec"]["volumes"].as_array().expect("volumes") {
        let (source, kind, field) = match (&volume["configMap"], &volume["secret"]) {
            (map, Value::Null) if !map.is_null() => (map, "configmap", "name"),
            (_, secret) if !secret.is_null() => (secret, "secret", "secretName"),
            _ => continue,
        };
        let name = source[field].as_str().expect("a name");
        let directory = processes::directory("volume");
        write(bed, namespace, (kind, name), &source["items"], &directory);
        let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).expect("a mount");
        let path = mount["mountPath"].as_str().expect("a path").to_owned();
        moved.insert(path, directory.display().to_string());
    }
    moved
}

fn write(bed: &Bed, namespace: &str, (kind, name): (&str, &str), items: &Value, directory: &Path) {
    let object = bed.kubectl(&["--namespace", namespace, "get", kind, name, "-o", "json"], "");
    let object: Value = serde_json::from_str(&object).expect("JSON");
    let data = object["data"].as_object().expect("data");
    let all = || data.keys().map(|key| (key.as_str(), key.as_str())).collect();
    let pair = |item: &'_ Value| -> (String, String) {
        let text = |field: &str| item[field].as_str().expect("text").to_owned();
        (text("key"), text("path"))
    };
    let chosen: Option<Vec<(String, String)>> =
        items.as_array().map(|items| items.iter().map(pair).collect());
    let chosen: Vec<(&str, &str)> = match &chosen {
        Some(chosen) => chosen.iter().map(|(key, path)| (key.as_str(), path.as_str())).collect(),
        None => all(),
    };
    for (key, path) in chosen {
        let value = data[key].as_str().expect("text");
        let bytes = match kind {
            "secret" => STANDARD.decode(value).expect("base64"),
            _ => value.as_bytes().to_vec(),
        };
        std::fs::write(directory.join(path), bytes).expect("write a file");
    }
}
