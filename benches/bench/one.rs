//! One release of 1,000 ConfigMaps of 1 KB.

use std::time::Duration;

use supercargo_testbed::Operator;

use super::artifact::{Pusher, config_map};
use super::idle::mib;
use super::releases::{Releases, spec};
use super::site::{APPS, Site};
use super::table::{Row, Table};

const OBJECTS: usize = 1000;
const TAG: &str = "1.0.0";
const NAME: &str = "big";
const AFTER: Duration = Duration::from_millis(500);

/// The rows.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    let operator = site.operator().await;
    let pusher = Pusher::new(&site.registry.host());
    let releases = Releases::of(&site.client, APPS);

    pusher.push(NAME, TAG, &yaml('a', 'a')).await;
    let meter = site.meter(&operator);
    let all = [(NAME.to_owned(), spec(&site.registry.host(), NAME, TAG, "1h"))];
    releases.create(all.into_iter()).await;
    releases.wait_ready(1).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(AFTER).await;
    let row = meter.row_after("one release of 1,000 ConfigMaps of 1 KB: first apply", wall);
    table.add(Row { note: format!("{:.0} MiB afterwards", mib(operator.usage().resident)), ..row });

    run(table, &site, &operator, &releases, "… nothing changed").await;
    pusher.push(NAME, TAG, &yaml('b', 'a')).await;
    run(table, &site, &operator, &releases, "… 1 of 1,000 changed").await;
    pusher.push(NAME, TAG, &yaml('c', 'c')).await;
    run(table, &site, &operator, &releases, "… all changed").await;

    let meter = site.meter(&operator);
    releases.delete(NAME).await;
    releases.wait("the release is gone", |all| all.is_empty()).await;
    table.add(meter.row("… deleted"));
}

/// Asks for a run and waits for its end.
async fn run(table: &mut Table, site: &Site, operator: &Operator, releases: &Releases, work: &str) {
    let meter = site.meter(operator);
    releases.reconcile(NAME, work).await;
    releases.wait(work, |all| all.values().all(|seen| seen.ready && seen.handled == work)).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(AFTER).await;
    table.add(meter.row_after(work, wall));
}

fn yaml(first: char, rest: char) -> String {
    let text = |fill: char| fill.to_string().repeat(1024);
    (0..OBJECTS).map(|n| config_map(&format!("big-{n}"), &text(if n == 0 { first } else { rest }))).collect()
}
