//! A real Prometheus that scrapes what a test names, and promtool.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fetch::{self, Trust};
use crate::processes::{self, Server};
use crate::tools::Tools;
use crate::{bed, poll_until, ports};

const READY: Duration = Duration::from_secs(60);
/// How often targets are scraped and rules evaluated.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// A running Prometheus; killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    server: Server,
    address: String,
}

/// What it scrapes: addresses `HOST:PORT`, and the labels that their series get.
#[derive(Debug, Clone)]
pub struct Target {
    /// `HOST:PORT` with `/metrics`.
    pub address: String,
    /// `job`, `namespace` and the like.
    pub labels: Vec<(String, String)>,
}

impl Prometheus {
    /// Starts one with these targets and the text of a rule file, and returns when
    /// it answers.
    pub fn start(targets: &[Target], rules: &str) -> Prometheus {
        let directory = processes::directory("prometheus");
        let address = format!("127.0.0.1:{}", ports::free());
        std::fs::write(directory.join("rules.yaml"), rules).expect("write a file");
        // JSON is YAML.
        std::fs::write(directory.join("prometheus.yml"), configuration(targets).to_string())
            .expect("write a file");
        let mut command = processes::command(Tools::prometheus().path("prometheus"));
        command
            .arg(bed::flag("--config.file", &directory.join("prometheus.yml")))
            .arg(bed::flag("--storage.tsdb.path", &directory.join("data")))
            .arg(format!("--web.listen-address={address}"));
        let mut server = Server::start("prometheus", &mut command, &directory.join("prometheus.log"));
        let ready = || {
            assert!(server.running(), "Prometheus ended\n{}", server.tail());
            std::net::TcpStream::connect(&address).is_ok()
                && fetch::send("GET", &format!("http://{address}/-/ready"), &[], &[], Trust::default()).code
                    == 200
        };
        poll_until("Prometheus is ready", READY, ready, String::new);
        Prometheus { server, address }
    }

    /// What an expression gives now: a list of `metric` and `value`, empty when
    /// there is nothing. Panics with what Prometheus says of one that is wrong.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let data = self.get("query", &[("query", expression)]);
        match data["resultType"].as_str() {
            Some("vector") => data["result"].as_array().cloned().unwrap_or_default(),
            _ => vec![json!({"metric": {}, "value": data["result"]})],
        }
    }

    /// The values of a label in the series that a selector names, of the last hour.
    pub fn label_values(&self, label: &str, selector: Option<&str>) -> Vec<String> {
        let matching: Vec<(&str, &str)> = selector.iter().map(|selector| ("match[]", *selector)).collect();
        let data = self.get(&format!("label/{label}/values"), &matching);
        let values = data.as_array().expect("a list of values").iter();
        values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// The alerts that fire now: their labels.
    pub fn firing(&self) -> Vec<Value> {
        let data = self.get("alerts", &[]);
        let alerts = data["alerts"].as_array().expect("a list of alerts").iter();
        alerts.filter(|alert| alert["state"] == "firing").cloned().collect()
    }

    /// Every rule, with its `health` and its `lastError`.
    pub fn rules(&self) -> Vec<Value> {
        let data = self.get("rules", &[]);
        let groups = data["groups"].as_array().expect("a list of groups").iter();
        groups.flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
    }

    /// The end of its log, for the message of a failure.
    pub fn tail(&self) -> String {
        self.server.tail()
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let url = format!("http://{}/api/v1/{path}?{}", self.address, pairs.join("&"));
        let answer = fetch::send("GET", &url, &[], &[], Trust::default());
        let body: Value = serde_json::from_slice(&answer.body).expect("Prometheus answers JSON");
        assert_eq!(body["status"], "success", "{path} {parameters:?}: {body}");
        body["data"].clone()
    }
}

fn configuration(targets: &[Target]) -> Value {
    let interval = format!("{}s", INTERVAL.as_secs());
    let targets: Vec<Value> = targets
        .iter()
        .map(|target| {
            let labels: serde_json::Map<String, Value> =
                target.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({"targets": [target.address], "labels": labels})
        })
        .collect();
    json!({
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "supercargo", "static_configs": targets}],
    })
}

/// For a query string: everything but letters and digits.
fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Runs promtool in the repository's root.
pub fn promtool(arguments: &[&str], files: &[PathBuf]) -> Output {
    processes::command(Tools::prometheus().path("promtool"))
        .args(arguments)
        .args(files)
        .current_dir(crate::repository())
        .output()
        .expect("run promtool")
}
