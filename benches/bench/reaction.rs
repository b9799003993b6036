//! From a change to its effect, one at a time.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher::{self, watcher};
use serde_json::json;
use supercargo_testbed::registry::{self, Notify};
use supercargo_testbed::{Registry, ports, processes};

use super::artifact::{Pusher, config_map};
use super::releases::{Releases, reconcile_at, spec};
use super::site::{APPS, Site, until_ready};
use super::table::{Row, Table, median, spread};

const ROUNDS: usize = 10;
/// Releases beside the one that is pushed.
const OTHERS: usize = 1000;
/// Longer than a release rests that was asked once.
const REST: Duration = Duration::from_millis(600);
const SECRET: &str = "a-secret-of-the-benchmark";

/// The rows.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    let operator = site.operator().await;
    let pusher = Pusher::new(&site.registry.host());
    let releases = Releases::of(&site.client, APPS);
    let maps: Api<ConfigMap> = Api::namespaced(site.client.clone(), APPS);
    let yaml = |text: &str| (0..ROUNDS).map(|n| config_map(&map(n), text)).collect::<String>();

    pusher.push("reaction", "1.0.0", &yaml("first")).await;
    releases
        .create([("reaction".to_owned(), spec(&site.registry.host(), "reaction", "1.0.0", "1h"))].into_iter())
        .await;
    releases.wait_ready(1).await;

    let meter = site.meter(&operator);
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let text = format!("round {round}");
        // One object changes.
        let changed =
            config_map(&map(0), &text) + &yaml("first").split_inclusive("---\n").skip(1).collect::<String>();
        pusher.push("reaction", "1.0.0", &changed).await;
        let token = round.to_string();
        let name = map(0);
        let mut seen = Texts::of(&maps, &name).await;
        let start = Instant::now();
        releases.patch("reaction", &reconcile_at(&token)).await;
        seen.until(&text).await;
        let done = Instant::now();
        times.push(done - start);
        releases.wait("the run is over", |all| all["reaction"].handled == token).await;
    }
    let (note, median_time) = (spread(&times), median(times));
    let row = meter
        .row_after(&format!("tag moved, run asked for → object changed (median of {ROUNDS})"), median_time);
    // The registry's log holds the pushes too.
    table.add(Row { note, registry: None, ..row });

    let meter = site.meter(&operator);
    let mut times = Vec::new();
    for n in 1..ROUNDS {
        let edit = json!({"data": {"text": "by hand"}});
        let mut seen = Texts::of(&maps, &map(n)).await;
        let start = Instant::now();
        maps.patch(&map(n), &PatchParams::default(), &Patch::Merge(&edit)).await.expect("edit a ConfigMap");
        seen.until("by hand").await;
        seen.until("first").await;
        let done = Instant::now();
        times.push(done - start);
    }
    let (note, median_time) = (spread(&times), median(times));
    let row = meter
        .row_after(&format!("a field edited by hand → corrected (median of {})", ROUNDS - 1), median_time);
    table.add(Row { note, ..row });
}

/// A push to a registry that tells of it, with so many other releases to look at.
pub async fn push(table: &mut Table) {
    let site = Site::start().await;
    let address = format!("127.0.0.1:{}", ports::free());
    let registry = Registry::start(&registry::Options {
        notify: Some(Notify {
            url: format!("http://{address}/hook/registry"),
            authorization: format!("Bearer {SECRET}"),
        }),
        ..registry::Options::default()
    });
    let config = processes::directory("receivers").join("receivers.yaml");
    let text = json!({
        "apiVersion": "supercargo.dev/v1alpha1", "kind": "WebhookConfig",
        "receivers": [{"name": "registry", "type": "distribution", "secret": SECRET}],
    });
    std::fs::write(&config, text.to_string()).expect("write a file");
    let operator = site
        .options()
        .argument(&format!("--webhook-addr={address}"))
        .argument(&format!("--webhook-config={}", config.display()))
        .start();
    until_ready(&operator).await;
    let pusher = Pusher::new(&registry.host());
    let releases = Releases::of(&site.client, APPS);
    let maps: Api<ConfigMap> = Api::namespaced(site.client.clone(), APPS);
    pusher.push("pushed", "live", &config_map("pushed", "first")).await;
    releases
        .create([("pushed".to_owned(), spec(&registry.host(), "pushed", "live", "24h"))].into_iter())
        .await;
    releases.wait_ready(1).await;
    for others in [0, OTHERS] {
        let suspended = (0..others).map(|n| {
            let mut spec = spec(&registry.host(), &format!("other-{n}"), "live", "24h");
            spec["suspend"] = json!(true);
            (format!("other-{n}"), spec)
        });
        releases.create(suspended).await;
        let meter = site.meter(&operator);
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let text = format!("{others}-{round}");
            let mut seen = Texts::of(&maps, "pushed").await;
            let yaml = config_map("pushed", &text);
            let start = Instant::now();
            pusher.push("pushed", "live", &yaml).await;
            seen.until(&text).await;
            times.push(start.elapsed());
            // The rest after each ask is over, so that the next one is a first one.
            tokio::time::sleep(REST).await;
        }
        let (note, median_time) = (spread(&times), median(times));
        let work = format!(
            "pushed, with a webhook and {others} other releases → object changed (median of {ROUNDS})"
        );
        table.add(Row { note, registry: None, ..meter.row_after(&work, median_time) });
    }
}

fn map(n: usize) -> String {
    format!("map-{n}")
}

/// What a ConfigMap says, change by change.
struct Texts(BoxStream<'static, watcher::Result<watcher::Event<ConfigMap>>>);

impl Texts {
    /// From now on: the watch has begun, so that no change is missed.
    async fn of(maps: &Api<ConfigMap>, name: &str) -> Texts {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = watcher(maps.clone(), config).boxed();
        while !matches!(events.next().await, Some(Ok(watcher::Event::InitDone))) {}
        Texts(events)
    }

    async fn until(&mut self, text: &str) {
        while let Some(event) = self.0.next().await {
            let Ok(watcher::Event::Apply(map)) = event else { continue };
            if map.data.is_some_and(|data| data.get("text").is_some_and(|t| t == text)) {
                return;
            }
        }
    }
}
