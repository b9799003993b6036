//! Ten thousand releases, the floor that an API server sets, and by simulation what does not fit on this machine.

use std::time::{Duration, Instant};

use kube::api::{Api, ListParams};
use supercargo::api::release::OCIArtifactRelease;
use supercargo::domain::observed::ObservedRelease;

use super::floor::{self, FloorTimes};
use super::simulate::{Costs, Measured, fit, report};
use super::site::APPS;
use super::table::{Row, Table};
use super::{many, on};

/// The run that the costs of the model are taken from.
const SMALL: usize = 1000;
/// The run that the model is compared with.
const LARGE: usize = 10_000;
/// How many are upgraded together.
const WAVE: usize = 1000;
/// How long ten thousand are watched at rest: all of them are checked once in ten minutes.
const REST: Duration = Duration::from_secs(640);
const CORES: u32 = 2;
/// How many KiB a release may take.
const MOST_OF_A_RELEASE: f64 = 12.0;

/// All rows.
pub fn measure(table: &mut Table) {
    on(async {
        let floor = floor::measure(table, SMALL, WAVE).await;
        let listed = listed(&floor.site.client).await;
        let small_floor = floor.times;
        drop(floor);
        let large_floor = floor::measure(table, LARGE, WAVE).await.times;
        let costs = grown(listed, small_floor, large_floor);
        let small = many::scale(table, SMALL, WAVE, None).await;
        let large = many::scale(table, LARGE, WAVE, Some(REST)).await;
        memory(table, &small, &large);
        tokio::task::block_in_place(|| report(table, &fit(costs, &small), (&small, &large)));
    });
}

/// What a release takes at rest: what the large run takes beyond the small one.
fn memory(table: &mut Table, small: &Measured, large: &Measured) {
    let [few, many] = [small.releases, large.releases].map(|count| count as f64);
    let beyond = large.memory.alone.saturating_sub(small.memory.alone);
    let each = beyond as f64 / (many - few);
    let limit = if each > MOST_OF_A_RELEASE {
        format!("; BEYOND THE LIMIT of {MOST_OF_A_RELEASE} KiB")
    } else {
        String::new()
    };
    table.add(Row {
        work: format!("a release of {LARGE} at rest, beyond what {SMALL} take"),
        note: format!("{each:.1} KiB{limit}"),
        ..Row::default()
    });
}

/// What requests cost, and how that grows with the number of releases: a floor is a mean over its whole run, and at its
/// middle half of its releases were there.
fn grown(costs: Costs, small: FloorTimes, large: FloorTimes) -> Costs {
    let releases = u32::try_from(LARGE - SMALL).unwrap_or(u32::MAX) / 2;
    let half = u32::try_from(SMALL / 2).unwrap_or(u32::MAX);
    let growth: FloorTimes = std::array::from_fn(|at| large[at].saturating_sub(small[at]) * CORES / releases);
    let requests = std::array::from_fn(|at| (small[at] * CORES).saturating_sub(growth[at] * half));
    Costs { requests, growth, ..costs }
}

/// What a release costs in a list: the API server, and the operator.
async fn listed(client: &kube::Client) -> Costs {
    let releases: Api<OCIArtifactRelease> = Api::namespaced(client.clone(), APPS);
    let page = ListParams::default().limit(500);
    let start = Instant::now();
    let list = releases.list(&page).await.expect("a list");
    let count = u32::try_from(list.items.len().max(1)).unwrap_or(u32::MAX);
    let whole = start.elapsed();
    let texts: Vec<String> =
        list.items.iter().map(|release| serde_json::to_string(release).expect("JSON")).collect();
    let start = Instant::now();
    let read = texts.iter().filter(|text| ObservedRelease::read(text).is_ok()).count();
    let seen = start.elapsed() / u32::try_from(read.max(1)).unwrap_or(u32::MAX);
    // A watcher gets the same text.
    let listed = (whole / count).saturating_sub(seen);
    Costs { listed, told: listed, seen, ..Costs::default() }
}
