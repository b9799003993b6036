//! What the API server needs for the requests of a release alone: a bare client sends them, kind by kind. No operator
//! is there.

use std::time::{Duration, Instant};

use futures::StreamExt;
use http::{Method, Request};
use serde_json::{Value, json};

use super::artifact::app;
use super::releases::spec;
use super::simulate::Class;
use super::site::{APPS, Site};
use super::table::{Row, Table};

/// Requests at once: those that the operator has for one namespace.
const PARALLEL: usize = 24;
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// For one request of each class, in the order of [`Class::ALL`].
pub type FloorTimes = [Duration; Class::ALL.len()];

/// What each kind of request takes, with two cores that do nothing else.
pub struct Floor {
    /// The servers, with these releases.
    pub site: Site,
    /// What they take.
    pub times: FloorTimes,
}

/// How many requests of each class a release needs to become Ready, in the order of [`Class::ALL`].
pub const OF_A_RELEASE: [u32; Class::ALL.len()] = [1, 1, 1, 3, 3, 2, 1, 2];

/// How many an upgrade of one of its objects needs, with the change of the release by a person.
const OF_AN_UPGRADE: [u32; Class::ALL.len()] = [0, 1, 1, 3, 1, 2, 1, 0];

/// The rounds from here on are those after the creation: other content, and names that are not taken.
const LATER: u32 = 3;

/// The releases of one page of a list.
const PAGE: usize = 500;

/// Measures it for so many releases, and adds the rows of all requests of these: created, taken up after a restart, and a
/// wave of some of them upgraded.
pub async fn measure(table: &mut Table, count: usize, wave: usize) -> Floor {
    let site = Site::start().await;
    let mut floor = Floor { site, times: Default::default() };
    let mut wall = Duration::ZERO;
    for (at, class) in Class::ALL.into_iter().enumerate() {
        let start = Instant::now();
        let each = u32::try_from(count).unwrap_or(u32::MAX);
        let mut sent = 0;
        for round in 0..OF_A_RELEASE[at] {
            send(&floor.site, class, round, count).await;
            sent += each;
        }
        floor.times[at] = start.elapsed() / sent;
        wall += start.elapsed();
    }
    let all: u32 = OF_A_RELEASE.iter().sum();
    let work = format!("a bare client, the {all} requests of each of {count} such releases");
    add(table, &work, (wall, count), count * all as usize);
    restart(table, &floor.site, count).await;
    upgrade(table, &floor.site, wave, count).await;
    floor
}

/// 100 of them.
pub async fn few(table: &mut Table) {
    measure(table, 100, 100).await;
}

/// The reads of an operator that starts: the releases, and two for each inventory.
async fn restart(table: &mut Table, site: &Site, count: usize) {
    let start = Instant::now();
    let mut requests = list(site).await;
    for round in [0, LATER] {
        send(site, Class::Read, round, count).await;
        requests += count;
    }
    add(
        table,
        &format!("a bare client, the reads of a restart with {count} such releases"),
        (start.elapsed(), count),
        requests,
    );
}

/// The requests of releases that are upgraded together.
async fn upgrade(table: &mut Table, site: &Site, count: usize, all: usize) {
    let start = Instant::now();
    for (at, class) in Class::ALL.into_iter().enumerate() {
        for round in 0..OF_AN_UPGRADE[at] {
            send(site, class, LATER + round, count).await;
        }
    }
    let each: u32 = OF_AN_UPGRADE.iter().sum();
    let work =
        format!("a bare client, the {each} requests of each of {count} upgrades, of {all} such releases");
    add(table, &work, (start.elapsed(), count), count * each as usize);
}

fn add(table: &mut Table, work: &str, (wall, count): (Duration, usize), requests: usize) {
    table.add(Row {
        work: work.to_owned(),
        wall: Some(wall),
        requests: Some(requests),
        note: format!("the floor; {:.2} ms a release", wall.as_secs_f64() * 1000.0 / count as f64),
        ..Row::default()
    });
}

/// Reads all releases, and returns in how many requests.
async fn list(site: &Site) -> usize {
    let (mut next, mut requests) = (String::new(), 0);
    loop {
        let path = format!("{}?limit={PAGE}&continue={next}", releases());
        let request = Request::get(path).body(Vec::new()).expect("a request");
        let page = site.client.request::<Value>(request).await.expect("a list");
        requests += 1;
        page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut next);
        if next.is_empty() {
            return requests;
        }
    }
}

fn releases() -> String {
    format!("/apis/supercargo.dev/v1alpha1/namespaces/{APPS}/ociartifactreleases")
}

/// Sends one request of a class for each of so many releases.
pub async fn send(site: &Site, class: Class, round: u32, count: usize) {
    let requests = (0..count).map(|n| {
        let request = request(class, round, n);
        let client = site.client.clone();
        async move {
            let sent = client.request::<Value>(request).await;
            let is_missing =
                |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
            // There is no second part of an inventory.
            if class != Class::Read || !sent.as_ref().is_err_and(is_missing) {
                drop(sent.expect("the API server answers"));
            }
        }
    });
    futures::stream::iter(requests).buffer_unordered(PARALLEL).collect::<Vec<()>>().await;
}

fn request(class: Class, round: u32, n: usize) -> Request<Vec<u8>> {
    let name = app(n);
    let releases = releases();
    let core = format!("/api/v1/namespaces/{APPS}");
    let (method, path, kind, body) = match class {
        Class::Release => {
            let release = json!({
                "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
                "metadata": {"name": name}, "spec": spec("registry.example", &name, "1.0.0", "10m"),
            });
            (Method::POST, releases, JSON, release)
        }
        Class::Finalizer if round >= LATER => {
            let patch = json!({"metadata": {"annotations": {"example.com/asked": round.to_string()}}});
            (Method::PATCH, format!("{releases}/{name}"), MERGE, patch)
        }
        Class::Finalizer => {
            let patch = json!({"metadata": {"finalizers": ["supercargo.dev/finalizer"]}});
            (Method::PATCH, format!("{releases}/{name}"), MERGE, patch)
        }
        Class::Status => (Method::PATCH, format!("{releases}/{name}/status"), MERGE, status(n, round)),
        Class::DryRun | Class::Apply => {
            let (plural, object) = object(round, &name);
            let dry = if class == Class::DryRun { "&dryRun=All" } else { "" };
            let path = format!("{core}/{plural}/{name}?fieldManager=supercargo&force=true{dry}");
            (Method::PATCH, path, APPLY, object)
        }
        Class::Inventory => {
            let inventory = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("inv-{name}")},
                "data": {"entries": entries(&name), "round": round.to_string()},
            });
            let path = format!("{core}/configmaps/inv-{name}?fieldManager=supercargo&force=true");
            (Method::PATCH, path, APPLY, inventory)
        }
        Class::Event => {
            let event = json!({
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{name}.{round}")},
                "involvedObject": {"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
                    "namespace": APPS, "name": name},
                "reason": "ReconciliationSucceeded", "message": "Applied 3 objects of revision 1.0.0",
                "type": "Normal", "count": 1, "source": {"component": "supercargo"},
            });
            (Method::POST, format!("{core}/events"), JSON, event)
        }
        Class::Read => {
            let part = if round >= LATER { ".2" } else { "" };
            (Method::GET, format!("{core}/configmaps/inv-{name}{part}"), JSON, Value::Null)
        }
    };
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    request.body(body).expect("a request")
}

/// An object of [`super::artifact::small_app`].
fn object(round: u32, name: &str) -> (&'static str, Value) {
    let labels = json!({"supercargo.dev/name": name, "supercargo.dev/namespace": APPS});
    let metadata = json!({"name": name, "labels": labels});
    let text = if round >= LATER { "second" } else { "first" };
    match round % LATER {
        0 => (
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
            "data": {"text": text}}),
        ),
        1 => ("serviceaccounts", json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})),
        _ => (
            "services",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}),
        ),
    }
}

/// As long as that of a release that is Ready.
fn status(n: usize, round: u32) -> Value {
    let digest = format!("sha256:{n:064}");
    let condition = |name: &str| {
        json!({"type": name, "status": "True", "reason": "ReconciliationSucceeded", "observedGeneration": 1,
            "message": format!("Applied 3 objects of revision 1.0.{round}@{digest}"),
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    json!({"status": {
        "observedGeneration": 1,
        "conditions": [condition("Ready"), condition("Healthy"), condition("Drifted")],
        "lastAppliedRevision": format!("1.0.{round}@{digest}"),
        "lastAttemptedRevision": format!("1.0.{round}@{digest}"),
        "inventory": {"name": format!("inv-{}", app(n)), "entries": 3},
    }})
}

fn entries(name: &str) -> String {
    let entry = |kind: &str| {
        json!({"id": format!("{APPS}_{name}__{kind}"), "ver": "v1", "uid": "00000000-0000-0000-0000-000000000000",
            "hash": "0123456789abcdef", "fields": "0123456789abcdef"})
    };
    json!(["ConfigMap", "ServiceAccount", "Service"].map(entry)).to_string()
}
