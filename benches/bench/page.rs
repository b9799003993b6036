//! The page with ten thousand releases, in a real browser.

use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use futures::StreamExt;
use hyper_util::client::legacy::connect::HttpConnector;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use supercargo::api::release::OCIArtifactRelease;
use supercargo_testbed::browser::{Driver, link_of};
use supercargo_testbed::processes::{self, Server};

use super::artifact::app;
use super::floor;
use super::simulate::Class;
use super::site::{APPS, BINARY, Site};
use super::table::{Row, Table, median, spread};

const RELEASES: usize = 10_000;
/// Every how many of them one is not Ready.
const BROKEN: usize = 7;
const ROUNDS: usize = 5;
const PARALLEL: usize = 24;
const PATIENCE: Duration = Duration::from_secs(60);

/// The rows.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    for class in [Class::Release, Class::Status] {
        floor::send(&site, class, 0, RELEASES).await;
    }
    break_some(&site).await;
    let page = Page::open(&site).await;
    page.wait_text("need attention").await;
    for (view, path) in
        [("what is wrong", "/"), ("a page of the table", "/releases"), ("the fleet", "/fleet")]
    {
        let (mut paints, mut bytes) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let (paint, transferred) = page.painted(path).await;
            paints.push(paint);
            bytes = bytes.max(transferred);
        }
        table.add(Row {
            work: format!("the page with {RELEASES} releases, {view} → first paint (median of {ROUNDS})"),
            wall: Some(median(paints.clone())),
            note: format!("{}; {} KB with style and script", spread(&paints), bytes.div_ceil(1000)),
            ..Row::default()
        });
    }
    page.client.close().await.expect("end the browser");
}

async fn break_some(site: &Site) {
    let releases: Api<OCIArtifactRelease> = Api::namespaced(site.client.clone(), APPS);
    let status = json!({"status": {"conditions": [{
        "type": "Ready", "status": "False", "reason": "HealthTimeout", "observedGeneration": 1,
        "message": "not healthy within spec.timeout (300s); Deployment/bench-apps/app: 0 of 3 replicas are ready",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let patches = (0..RELEASES).step_by(BROKEN).map(|n| {
        let (releases, status) = (releases.clone(), Patch::Merge(&status));
        async move {
            let patched = releases.patch_status(&app(n), &PatchParams::default(), &status).await;
            drop(patched.expect("patch a status"));
        }
    });
    futures::stream::iter(patches).buffer_unordered(PARALLEL).collect::<Vec<()>>().await;
}

/// `supercargo ui` of the admin, in a browser.
struct Page {
    client: Client,
    origin: String,
    _driver: Driver,
    _server: Server,
}

impl Page {
    async fn open(site: &Site) -> Page {
        let mut command = processes::command(BINARY);
        command.arg("ui").env("KUBECONFIG", site.bed.admin_kubeconfig_path());
        let server = Server::start("supercargo ui", &mut command, &processes::directory("ui").join("output"));
        let link = link_of(&server);
        let driver = Driver::start();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(driver.capabilities(&[]));
        let client = builder.connect(&driver.url()).await.expect("start a browser");
        client.goto(&link).await.expect("the page");
        let origin = link.split("/enter").next().expect("an address").to_owned();
        Page { client, origin, _driver: driver, _server: server }
    }

    async fn wait_text(&self, text: &str) {
        let start = Instant::now();
        let script = format!("return document.body.innerText.includes({})", json!(text));
        while self.client.execute(&script, Vec::new()).await.ok() != Some(Value::Bool(true)) {
            assert!(start.elapsed() < PATIENCE, "the page does not show {text:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// When something of a view was seen first, and how many bytes all of it had.
    async fn painted(&self, path: &str) -> (Duration, usize) {
        let script = "const [paint] = performance.getEntriesByName('first-contentful-paint'); \
            const parts = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]; \
            return paint ? [paint.startTime, parts.reduce((sum, part) => sum + part.encodedBodySize, 0)] : null";
        self.client.goto(&format!("{}{path}", self.origin)).await.expect("the page");
        let start = Instant::now();
        loop {
            let found = self.client.execute(script, Vec::new()).await.expect("a script runs");
            if let (Some(paint), Some(bytes)) = (found[0].as_f64(), found[1].as_u64()) {
                return (
                    Duration::from_secs_f64(paint / 1000.0),
                    usize::try_from(bytes).unwrap_or(usize::MAX),
                );
            }
            assert!(start.elapsed() < PATIENCE, "nothing is painted");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
