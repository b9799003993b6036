//! Releases that wait for health, all at a time: what each of them keeps meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;
use supercargo_testbed::Operator;

use super::artifact::{Pusher, app, config_map};
use super::delivery::deployment;
use super::idle::mib;
use super::many::SETTLED;
use super::releases::{Releases, spec};
use super::site::{APPS, Site};
use super::table::{Row, Table};

const WAITING: usize = 1000;
/// What each of them has as content, in bytes.
const CONTENT: usize = 10_000;

/// The rows.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    let host = site.registry.host();
    let content = "x".repeat(CONTENT);
    let objects = |n: usize| deployment(&app(n), "held") + &config_map(&app(n), &content);
    Pusher::new(&host).push_apps(WAITING, "1.0.0", objects).await;
    let operator = site.operator().await;
    let releases = Releases::of(&site.client, APPS);
    tokio::time::sleep(SETTLED).await;
    let idle = operator.usage().resident;
    let meter = site.meter(&operator);
    let waits = |n: usize| {
        let mut spec = spec(&host, &app(n), "1.0.0", "1h");
        (spec["wait"], spec["timeout"]) = (json!(true), json!("1h"));
        (app(n), spec)
    };
    releases.create((0..WAITING).map(waits)).await;
    until_waiting(&operator).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(SETTLED).await;
    let waiting = operator.usage().resident;
    let row = meter.row_after(
        &format!("{WAITING} releases of 10 KB, whose pods are not ready → all wait for health"),
        wall,
    );
    table.add(Row { note: each(waiting, idle), ..row });

    let meter = site.meter(&operator);
    releases.patch_all(&json!({"spec": {"wait": false}})).await;
    releases.wait_ready(WAITING).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(SETTLED).await;
    let row = meter.row_after("… do not wait any more → all Ready", wall);
    table.add(Row { note: each(operator.usage().resident, idle), ..row });
}

async fn until_waiting(operator: &Operator) {
    let start = Instant::now();
    while operator.metric("supercargo_health_waits").unwrap_or_default() < WAITING as f64 {
        assert!(start.elapsed() < Duration::from_secs(300), "they do not wait\n{}", operator.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn each(resident: u64, idle: u64) -> String {
    let each = resident.saturating_sub(idle) as f64 / WAITING as f64;
    format!("{:.0} MiB resident, {each:.1} KiB for each release", mib(resident))
}
