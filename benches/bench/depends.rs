//! Releases that depend on each other: a chain, and many that depend on one.

use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::Operator;

use super::artifact::{Pusher, app, small_app};
use super::releases::{Releases, spec};
use super::site::{APPS, Site};
use super::table::{Row, Table};

const TAG: &str = "1.0.0";
const CHAIN: usize = 50;
const DEPENDENTS: usize = 1000;
/// Long enough for runs that nothing waits for.
const AFTER: Duration = Duration::from_secs(3);

/// The rows.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    let host = site.registry.host();
    let pusher = Pusher::new(&host);
    pusher.push_apps(DEPENDENTS + 1, TAG, |n| small_app(n, "first")).await;
    let operator = site.operator().await;
    chain(table, &site, &operator, &host).await;
    many_on_one(table, &site, &operator, &pusher).await;
}

async fn chain(table: &mut Table, site: &Site, operator: &Operator, host: &str) {
    let releases = Releases::of(&site.client, APPS);
    let on = |n: usize| on(host, n, n.checked_sub(1));
    let meter = site.meter(operator);
    // The last of the chain first, so that each has to wait.
    releases.create((0..CHAIN).rev().map(|n| (app(n), on(n)))).await;
    releases.wait_ready(CHAIN).await;
    let wall = meter.start.elapsed();
    let note = format!("{} ms for each link", wall.as_millis() / CHAIN as u128);
    let row = meter.row_after(&format!("a chain of {CHAIN} releases, created → all Ready"), wall);
    table.add(Row { note, ..row });
    for n in 0..CHAIN {
        releases.delete(&app(n)).await;
    }
    releases.wait("the chain is gone", std::collections::BTreeMap::is_empty).await;
}

async fn many_on_one(table: &mut Table, site: &Site, operator: &Operator, pusher: &Pusher) {
    let host = site.registry.host();
    let releases = Releases::of(&site.client, APPS);
    let meter = site.meter(operator);
    releases.create((0..=DEPENDENTS).rev().map(|n| (app(n), on(&host, n, (n > 0).then_some(0))))).await;
    releases.wait_ready(DEPENDENTS + 1).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(AFTER).await;
    let work = format!("{DEPENDENTS} releases that depend on one, created → all Ready");
    table.add(meter.row_after(&work, wall));

    pusher.push(&app(0), "2.0.0", &small_app(0, "second")).await;
    let before = runs(operator);
    let meter = site.meter(operator);
    releases.patch(&app(0), &json!({"spec": {"ref": {"tag": "2.0.0"}}})).await;
    releases.wait("the one is not Ready", |all| !all[&app(0)].ready).await;
    releases.wait_ready(DEPENDENTS + 1).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(AFTER).await;
    let note = format!("{} runs", runs(operator) - before);
    let row = meter.row_after(&format!("the one of {DEPENDENTS} dependents upgraded → Ready"), wall);
    table.add(Row { note, ..row });
}

/// The spec of a release that depends on another.
fn on(host: &str, n: usize, dependency: Option<usize>) -> Value {
    let mut spec = spec(host, &app(n), TAG, "1h");
    if let Some(dependency) = dependency {
        spec["dependsOn"] = json!([{"name": app(dependency)}]);
    }
    spec
}

/// How many runs there were.
fn runs(operator: &Operator) -> u64 {
    let metrics = operator.metrics();
    let counts = metrics.lines().filter(|line| line.starts_with("supercargo_reconciles_total{"));
    let values = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.map(|value| value as u64).sum()
}
