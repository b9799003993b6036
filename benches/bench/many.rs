//! Many small releases: created, at rest, upgraded, and taken up again.

use std::time::{Duration, Instant};

use serde_json::json;
use supercargo_testbed::Operator;

use super::artifact::{Pusher, app, small_app};
use super::idle::mib;
use super::releases::{Releases, Seen, reconcile_at, spec};
use super::simulate::{Measured, MeasuredMemory};
use super::site::{APPS, Site, until_ready};
use super::table::{Row, Table, median};

const TAG: &str = "1.0.0";
/// An interval that is longer than any row.
const HOUR: &str = "1h";
/// Long enough for what the operator does behind the last status: events.
const AFTER: Duration = Duration::from_secs(1);
const SCRAPES: usize = 20;
/// Until the memory of what has just been done is given back.
pub const SETTLED: Duration = Duration::from_secs(12);

/// 100 of them: created, upgraded, at rest.
pub async fn hundred(table: &mut Table, steady_for: Duration) {
    let (site, operator, releases) = create(table, 100, HOUR).await;
    upgrade(table, &site, &operator, &releases, (100, 100)).await;
    steady(table, &site, &operator, &releases, 100, steady_for).await;
}

/// 500 of them: created, scraped, and taken up after a restart.
pub async fn five_hundred(table: &mut Table) {
    let (site, operator, _releases) = create(table, 500, HOUR).await;
    scrape(table, &operator, 500);
    restart(table, &site, operator, 500).await;
}

/// 1,000 of them, created.
pub async fn thousand(table: &mut Table) {
    create(table, 1000, HOUR).await;
}

/// 1,000 of them at rest: with an interval of a minute, as many checks as 10,000 with ten minutes.
pub async fn resting(table: &mut Table) {
    let (site, operator, _releases) = create(table, 1000, "1m").await;
    rest(table, &site, &operator, (1000, "1 min"), Duration::from_secs(180)).await;
}

/// So many of them: created, at rest for as long as `rest_for` says, a wave of them upgraded, and taken up after a restart.
pub async fn scale(table: &mut Table, count: usize, wave: usize, rest_for: Option<Duration>) -> Measured {
    let (site, operator, releases) = create(table, count, "10m").await;
    let created = table.last();
    if let Some(time) = rest_for {
        rest(table, &site, &operator, (count, "10 min"), time).await;
    }
    upgrade(table, &site, &operator, &releases, (wave, count)).await;
    let alone = restart(table, &site, operator, count).await;
    let restarted = table.last();
    let memory = MeasuredMemory { alone, ..memory_of_two(table, &site, count).await };
    let each = |cpu: Option<Duration>| cpu.unwrap_or_default() / u32::try_from(count).unwrap_or(u32::MAX);
    Measured {
        releases: count,
        created: created.wall.unwrap_or_default(),
        restarted: restarted.wall.unwrap_or_default(),
        rollout: each(created.cpu),
        check: each(restarted.cpu),
        memory,
    }
}

async fn create(table: &mut Table, count: usize, interval: &str) -> (Site, Operator, Releases) {
    let site = Site::start().await;
    let host = site.registry.host();
    Pusher::new(&host).push_apps(count, TAG, |n| small_app(n, "first")).await;
    let operator = site.operator().await;
    let releases = Releases::of(&site.client, APPS);
    let meter = site.meter(&operator);
    releases.create((0..count).map(|n| (app(n), spec(&host, &app(n), TAG, interval)))).await;
    let created = meter.start.elapsed();
    releases.wait_ready(count).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(AFTER).await;
    let row = meter.row_after(&format!("{count} releases × 3 objects, created → all Ready"), wall);
    let resident = mib(operator.usage().resident);
    let note = format!(
        "{resident:.0} MiB afterwards; creating the releases took {:.2} s of it",
        created.as_secs_f64()
    );
    table.add(Row { note, ..row }.within_limit());
    (site, operator, releases)
}

/// The metrics of all of them, as Prometheus asks for them: over a new
/// connection.
fn scrape(table: &mut Table, operator: &Operator, count: usize) {
    let mut bytes = 0;
    let mut times = Vec::new();
    for _ in 0..SCRAPES {
        let start = Instant::now();
        bytes = operator.metrics().len();
        times.push(start.elapsed());
    }
    table.add(Row {
        work: format!("a scrape of /metrics with {count} releases (median of {SCRAPES})"),
        wall: Some(median(times)),
        note: format!("{} KB", bytes.div_ceil(1000)),
        ..Row::default()
    });
}

async fn upgrade(
    table: &mut Table,
    site: &Site,
    operator: &Operator,
    releases: &Releases,
    (count, all): (usize, usize),
) {
    // Nobody looks before being asked to: the interval is an hour.
    Pusher::new(&site.registry.host()).push_apps(count, TAG, |n| small_app(n, "second")).await;
    let meter = site.meter(operator);
    releases.patch_each((0..count).map(app), &reconcile_at("upgrade")).await;
    let is_upgraded = |seen: &Seen| seen.ready && seen.handled == "upgrade";
    releases.wait("all upgraded", |all| all.values().filter(|seen| is_upgraded(seen)).count() == count).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(AFTER).await;
    let which = if count == all { count.to_string() } else { format!("{count} of {all}") };
    table.add(
        meter
            .row_after(&format!("{which} releases upgraded at once, one object changed in each"), wall)
            .within_limit(),
    );
}

/// At rest with the interval that they were created with.
async fn rest(
    table: &mut Table,
    site: &Site,
    operator: &Operator,
    (count, interval): (usize, &str),
    time: Duration,
) {
    let meter = site.meter(operator);
    tokio::time::sleep(time).await;
    let heads = meter.registry_requests("HEAD");
    let row = meter.row(&format!("{count} releases at rest, interval {interval}"));
    let share = row.cpu.unwrap_or_default().as_secs_f64() / time.as_secs_f64() * 100.0;
    let resident = mib(operator.usage().resident);
    let note = format!("{heads} HEADs; {share:.1} % of a core; {resident:.0} MiB resident");
    table.add(Row { note, ..row }.within_limit());
}

async fn steady(
    table: &mut Table,
    site: &Site,
    operator: &Operator,
    releases: &Releases,
    count: usize,
    time: Duration,
) {
    releases.patch_all(&json!({"spec": {"interval": "30s"}})).await;
    releases.wait_ready(count).await;
    tokio::time::sleep(AFTER).await;
    let meter = site.meter(operator);
    tokio::time::sleep(time).await;
    let heads = meter.registry_requests("HEAD");
    let row = meter.row(&format!("{count} releases at rest, interval 30 s"));
    table.add(Row {
        note: format!("{heads} HEADs; {:.0} MiB resident", mib(operator.usage().resident)),
        ..row
    });
}

/// Returns what is resident afterwards, in KiB.
async fn restart(table: &mut Table, site: &Site, mut before: Operator, count: usize) -> u64 {
    before.stop();
    let cache = before.cache().to_path_buf();
    let mark = site.bed.audit().mark();
    let registry = site.registry.mark();
    let start = Instant::now();
    let operator = site.operator_with(&cache);
    until_ready(&operator).await;
    let ready = start.elapsed();
    while site.registry.since(registry).len() < count {
        assert!(start.elapsed() < Duration::from_secs(600), "not taken up\n{}", operator.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let wall = start.elapsed();
    tokio::time::sleep(AFTER).await;
    let requests = site.bed.audit().since(mark, &site.account.user());
    let requests: Vec<_> = requests.iter().filter(|r| r.resource != "leases" && r.verb != "watch").collect();
    let usage = operator.usage();
    tokio::time::sleep(SETTLED).await;
    let resident = operator.usage().resident;
    let row = Row {
        work: format!("restart with {count} Ready releases, cache kept → all confirmed"),
        wall: Some(wall),
        cpu: Some(usage.cpu),
        requests: Some(requests.len()),
        writes: Some(requests.iter().filter(|r| r.writes()).count()),
        registry: Some(site.registry.since(registry).len()),
        peak: Some(usage.peak),
        note: format!("leads after {:.2} s; {:.0} MiB afterwards", ready.as_secs_f64(), mib(resident)),
    };
    table.add(row.within_limit());
    resident
}

/// The memory of two replicas that share the releases, and of one without any.
async fn memory_of_two(table: &mut Table, site: &Site, count: usize) -> MeasuredMemory {
    let options = |pod: &str| site.options().env("POD_NAME", pod).argument("--shards=auto");
    let nothing = site.options().env("POD_NAME", "idle").watching(&["default"]).lease("idle").start();
    until_ready(&nothing).await;
    let replicas = [options("supercargo-a").start(), options("supercargo-b").start()];
    for replica in &replicas {
        until_ready(replica).await;
    }
    let ready =
        |operator: &Operator| operator.metric("supercargo_releases{ready=\"True\"}").unwrap_or_default();
    let most = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let start = Instant::now();
    loop {
        let have = replicas.each_ref().map(ready);
        let is_shared = have.iter().all(|have| *have >= most / 4.0);
        if is_shared && have.iter().sum::<f64>() >= most {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(600), "not shared: {have:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(SETTLED).await;
    let resident = replicas.each_ref().map(|operator| operator.usage().resident);
    let (idle, shared) = (nothing.usage().resident, resident.iter().sum::<u64>() / 2);
    table.add(Row {
        work: format!("{count} releases on two replicas, at rest"),
        note: format!("{:.0} MiB each; {:.0} MiB without releases", mib(shared), mib(idle)),
        ..Row::default()
    });
    MeasuredMemory { alone: 0, shared }
}
