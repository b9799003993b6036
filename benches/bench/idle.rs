//! The operator with nothing to do, and its start.

use std::time::{Duration, Instant};

use super::site::{Site, until_ready};
use super::table::{Row, Table, median};

const STARTS: usize = 10;
const REST: Duration = Duration::from_secs(10);

/// The rows.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    start(&site, table).await;
    let operator = site.operator().await;
    tokio::time::sleep(REST).await;
    let usage = operator.usage();
    table.add(Row {
        work: "idle, no release: RSS".to_owned(),
        cpu: Some(usage.cpu),
        peak: Some(usage.peak),
        note: format!("{:.1} MiB resident after {} s", mib(usage.resident), REST.as_secs()),
        ..Row::default()
    });
}

async fn start(site: &Site, table: &mut Table) {
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let start = Instant::now();
        let mut operator = site.options().start();
        until_ready(&operator).await;
        times.push(start.elapsed());
        cpu.push(operator.usage().cpu);
        operator.stop();
    }
    table.add(Row {
        work: format!("start → leads and knows its releases (median of {STARTS})"),
        wall: Some(median(times)),
        cpu: Some(median(cpu)),
        ..Row::default()
    });
}

/// KiB in MiB.
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
