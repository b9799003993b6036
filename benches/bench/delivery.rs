//! Delivery: the way back of a revision that fails, releases that wait, and the plan of a large
//! revision.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::Operator;

use super::artifact::{Pusher, app, config_map, small_app};
use super::idle::mib;
use super::pods::Pods;
use super::releases::{All, Releases, spec};
use super::site::{APPS, Site};
use super::table::{Row, Table, median, spread};

const ROUNDS: usize = 10;
const WAITING: usize = 1000;
/// Long enough for what the operator does behind the last status: events.
const AFTER: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(30);
/// How many intervals releases are watched while they wait.
const INTERVALS: u32 = 3;
const OBJECTS: usize = 1000;
const NAME: &str = "big";

/// From a failed pod to the old revision, Ready again.
pub async fn rollback(table: &mut Table) {
    let site = Site::start().await;
    let operator = site.operator().await;
    let host = site.registry.host();
    let pusher = Pusher::new(&host);
    let releases = Releases::of(&site.client, APPS);
    let pods = Pods::of(&site.client, APPS);
    for n in 0..ROUNDS {
        let name = app(n);
        pusher.push(&name, "1.0.0", &deployment(&name, "ready")).await;
        pusher.push(&name, "2.0.0", &deployment(&name, "held")).await;
        let mut spec = spec(&host, &name, "1.0.0", "1h");
        (spec["wait"], spec["rollback"]) = (json!(true), json!({"mode": "OnFailure"}));
        releases.create([(name, spec)].into_iter()).await;
    }
    releases.wait_ready(ROUNDS).await;
    let meter = site.meter(&operator);
    let mut times = Vec::new();
    for n in 0..ROUNDS {
        let name = app(n);
        releases.patch(&name, &json!({"spec": {"ref": {"tag": "2.0.0"}}})).await;
        let pod = pods.watched(&format!("app={name},testbed.supercargo.dev/pod=held")).await;
        let start = Instant::now();
        pods.crash(&pod).await;
        releases.wait("the old revision is back", |all| all[&name].reason == "RolledBack").await;
        times.push(start.elapsed());
    }
    let note = spread(&times);
    let work =
        format!("a pod of a new revision fails → the old revision is back and healthy (median of {ROUNDS})");
    table.add(Row { note, registry: None, ..meter.row_after(&work, median(times)) });
}

/// A Deployment whose pod is Ready at once, or is scheduled and says nothing.
pub fn deployment(name: &str, pods: &str) -> String {
    let label = match pods {
        "held" => ", testbed.supercargo.dev/pod: held",
        _ => "",
    };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
         template:\n    metadata: {{labels: {{app: {name}{label}}}}}\n    \
         spec: {{containers: [{{name: web, image: web}}]}}\n---\n"
    )
}

/// Releases with a newer revision that waits for approval.
pub async fn wait_for_approval(table: &mut Table) {
    let spec = json!({"approval": "Manual", "ref": {"tag": "2.0.0"}});
    waiting(table, "for approval", &spec, "ApprovalRequired").await;
}

/// Releases with a newer revision that waits for a window.
pub async fn wait_for_window(table: &mut Table) {
    let new_year = json!([{"cron": "0 0 1 1 *", "duration": "1h"}]);
    waiting(table, "for a window", &json!({"schedule": new_year, "ref": {"tag": "2.0.0"}}), "OutsideWindow")
        .await;
}

async fn waiting(table: &mut Table, what: &str, change: &Value, reason: &str) {
    let site = Site::start().await;
    let host = site.registry.host();
    let pusher = Pusher::new(&host);
    pusher.push_apps(WAITING, "1.0.0", |n| small_app(n, "first")).await;
    pusher.push_apps(WAITING, "2.0.0", |n| small_app(n, "second")).await;
    let operator = site.operator().await;
    let releases = Releases::of(&site.client, APPS);
    let interval = format!("{}s", INTERVAL.as_secs());
    releases.create((0..WAITING).map(|n| (app(n), spec(&host, &app(n), "1.0.0", &interval)))).await;
    releases.wait_ready(WAITING).await;
    tokio::time::sleep(INTERVAL).await;
    let work = format!("{WAITING} Ready releases for {INTERVALS} intervals of {interval}");
    let before = intervals(table, &site, &operator, &work, None).await;

    let meter = site.meter(&operator);
    releases.patch_all(&json!({ "spec": change })).await;
    let waits = |all: &All| all.values().all(|seen| seen.reason == reason);
    releases.wait("all wait", waits).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(AFTER).await;
    table.add(meter.row_after(&format!("… have a newer revision each → it waits {what}"), wall));
    tokio::time::sleep(INTERVAL).await;
    intervals(table, &site, &operator, &format!("… wait {what} for {INTERVALS} intervals"), Some(before))
        .await;
}

/// Watches for some intervals. Returns what is resident at the end.
async fn intervals(
    table: &mut Table,
    site: &Site,
    operator: &Operator,
    work: &str,
    before: Option<u64>,
) -> u64 {
    let meter = site.meter(operator);
    tokio::time::sleep(INTERVAL * INTERVALS).await;
    let heads = meter.registry_requests("HEAD");
    let row = meter.row(work);
    let resident = operator.usage().resident;
    let more = before.map(|before| {
        let each = (resident as f64 - before as f64) / WAITING as f64;
        format!(", {each:+.1} KiB for each release")
    });
    let note = format!("{heads} HEADs; {:.0} MiB resident{}", mib(resident), more.unwrap_or_default());
    table.add(Row { note, ..row });
    resident
}

/// A revision of 1,000 objects that is applied at once, and one whose plan is approved first.
pub async fn plan(table: &mut Table) {
    for approval in ["Automatic", "Manual"] {
        let site = Site::start().await;
        let operator = site.operator().await;
        let pusher = Pusher::new(&site.registry.host());
        let releases = Releases::of(&site.client, APPS);
        let mut spec = spec(&site.registry.host(), NAME, "1.0.0", "1h");
        spec["approval"] = json!(approval);
        pusher.push(NAME, "1.0.0", &yaml('a')).await;
        pusher.push(NAME, "2.0.0", &yaml('b')).await;
        let mut large = Large { table: &mut *table, site: &site, operator: &operator, releases: &releases };
        let created = releases.create([(NAME.into(), spec)].into_iter());
        large.bring(approval, "1,000 new ConfigMaps of 1 KB", created).await;
        let change = json!({"spec": {"ref": {"tag": "2.0.0"}}});
        large.bring(approval, "… all changed", releases.patch(NAME, &change)).await;
    }
}

/// A release of a large revision.
struct Large<'a> {
    table: &'a mut Table,
    site: &'a Site,
    operator: &'a Operator,
    releases: &'a Releases,
}

impl Large<'_> {
    /// Does `change`, which brings a revision, and waits until it is applied.
    async fn bring(&mut self, approval: &str, what: &str, change: impl Future<Output = ()>) {
        let Self { table, site, operator, releases } = self;
        let (table, site, operator, releases) = (&mut **table, *site, *operator, *releases);
        let (mut meter, mut rest) = (site.meter(operator), operator.usage().resident);
        change.await;
        let work = match approval {
            "Manual" => {
                let waits = |all: &All| all.values().any(|seen| seen.reason == "ApprovalRequired");
                releases.wait("the plan waits", waits).await;
                let wall = meter.start.elapsed();
                tokio::time::sleep(AFTER).await;
                let row = meter.row_after(&format!("{what}, approval: Manual → the plan waits"), wall);
                table.add(above(row, rest));
                let plan = releases.seen(NAME).plan;
                (meter, rest) = (site.meter(operator), operator.usage().resident);
                releases
                    .patch(NAME, &json!({"metadata": {"annotations": {"supercargo.dev/approve": plan}}}))
                    .await;
                let waited = |all: &All| all.values().all(|seen| seen.ready && seen.plan.is_empty());
                releases.wait("it is applied", waited).await;
                "… approved → applied".to_owned()
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                releases.wait_ready(1).await;
                format!("{what}, approval: Automatic → applied")
            }
        };
        let wall = meter.start.elapsed();
        tokio::time::sleep(AFTER).await;
        let row = meter.row_after(&work, wall);
        table.add(above(row, rest));
    }
}

/// Says how much more memory it was at its peak.
fn above(row: Row, rest: u64) -> Row {
    let more = row.peak.unwrap_or_default().saturating_sub(rest);
    Row { note: format!("peak {:.1} MiB above what was resident before", mib(more)), ..row }
}

fn yaml(fill: char) -> String {
    let text = fill.to_string().repeat(1024);
    (0..OBJECTS).map(|n| config_map(&format!("big-{n}"), &text)).collect()
}
