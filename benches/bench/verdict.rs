//! Health: from a pod's crash to the verdict in the status, and how many judgements there are in a
//! second.

use std::time::Instant;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};
use supercargo::api::release::OCIArtifactRelease;
use supercargo::domain::health::RuleSet;

use super::artifact::{Pusher, app};
use super::delivery::deployment;
use super::pods::Pods;
use super::releases::{Releases, spec};
use super::site::{APPS, Site};
use super::table::{Row, Table, median, spread};

const ROUNDS: usize = 10;
const JUDGED: usize = 200_000;

/// The rows.
pub async fn measure(table: &mut Table) {
    judgements(table);
    let site = Site::start().await;
    let operator = site.operator().await;
    let pusher = Pusher::new(&site.registry.host());
    let releases = Releases::of(&site.client, APPS);
    let api: Api<OCIArtifactRelease> = Api::namespaced(site.client.clone(), APPS);
    let pods = Pods::of(&site.client, APPS);
    let meter = site.meter(&operator);
    let mut times = Vec::new();
    for n in 0..ROUNDS {
        let name = app(n);
        pusher.push(&name, "1.0.0", &deployment(&name, "held")).await;
        let mut spec = spec(&site.registry.host(), &name, "1.0.0", "1h");
        spec["wait"] = json!(true);
        spec["retryInterval"] = json!("1h");
        releases.create([(name.clone(), spec)].into_iter()).await;
        let pod = pods.watched(&format!("app={name}")).await;
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = watcher(api.clone(), config).boxed();
        while !matches!(events.next().await, Some(Ok(watcher::Event::InitDone))) {}
        let start = Instant::now();
        pods.crash(&pod).await;
        loop {
            if let Some(Ok(watcher::Event::Apply(release))) = events.next().await
                && has_failed(&release)
            {
                break;
            }
        }
        times.push(start.elapsed());
    }
    let note = spread(&times);
    let work = format!("a pod crashes twice → verdict in the status (median of {ROUNDS})");
    table.add(Row { note, registry: None, ..meter.row_after(&work, median(times)) });
}

fn has_failed(release: &OCIArtifactRelease) -> bool {
    let status = serde_json::to_value(&release.status).expect("a status");
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Ready" && c["reason"] == "HealthCheckFailed")
}

/// On one core: a Deployment, a Pod and two custom resources, one of which no entry of the
/// catalogue names.
fn judgements(table: &mut Table) {
    let ready = json!([{"type": "Ready", "status": "True", "observedGeneration": 1}]);
    let object = |version: &str, kind: &str, status: Value| {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a", "generation": 1}, "spec": {"replicas": 3},
               "status": status})
    };
    let objects = [
        object(
            "apps/v1",
            "Deployment",
            json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2}),
        ),
        object(
            "v1",
            "Pod",
            json!({"phase": "Pending", "containerStatuses": [
                {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
        ),
        object("cert-manager.io/v1", "Certificate", json!({"conditions": ready})),
        object("example.com/v1", "Thing", json!({"observedGeneration": 1, "conditions": ready})),
    ];
    let rules = RuleSet::default();
    let now = Timestamp::now();
    let start = Instant::now();
    for n in 0..JUDGED {
        std::hint::black_box(rules.assess(&objects[n % objects.len()], now));
    }
    let wall = start.elapsed();
    let each = wall.as_nanos() / JUDGED as u128;
    let note = format!("{:.0} in a second, {each} ns each", JUDGED as f64 / wall.as_secs_f64());
    table.add(Row { work: format!("{JUDGED} health judgements"), wall: Some(wall), note, ..Row::default() });
}
