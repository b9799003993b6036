//! What the dashboards show of releases that several replicas share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};
use supercargo_testbed::prometheus::{INTERVAL, Target};
use supercargo_testbed::{Profiles, Prometheus, ports, story, within};

use super::fleet::{Fleet, GROUP};
use crate::dashboards::{LIMIT, dashboard, list, substitute, variables};
use crate::scene::{config_map, registry, text};

const PROFILES: Profiles = Profiles::First("panels do not depend on rights");

/// How many releases are well.
const WELL: usize = 12;

/// The rows of a query by their labels, with their values where these do not change by themselves.
type Rows = BTreeMap<String, String>;

/// What is about the last seconds: the work that was done, and which releases are the first of a list.
const MOMENTARY: &[&str] = &["rate(", "increase(", "topk("];
/// What is about the processes.
const OF_PROCESSES: &[&str] = &["instance", "build_info", "cache_size"];

/// What the panels about releases show.
type Shown = BTreeMap<String, Rows>;

/// What all panels about releases show, by dashboard, title and query.
fn shown(prometheus: &Prometheus, release: (&str, &str)) -> Shown {
    let mut shown = Shown::new();
    for name in ["fleet", "release", "controller"] {
        let board = dashboard(name);
        let variables = variables(prometheus, &board, release);
        for panel in list(&board, "panels") {
            for target in list(panel, "targets") {
                let query = substitute(target["expr"].as_str().expect("a query"), &variables);
                if !OF_PROCESSES.iter().any(|part| query.contains(part)) {
                    let rows = rows(prometheus, &query);
                    shown.insert(format!("{name}: {}: {query}", text(panel, "/title")), rows);
                }
            }
        }
    }
    shown
}

fn rows(prometheus: &Prometheus, query: &str) -> Rows {
    let row = |sample: &Value| {
        let labels = &sample["metric"];
        assert!(labels.get("instance").is_none(), "{query} shows each replica: {labels}");
        let value = if query.contains("time()") { String::new() } else { text(sample, "/value/1") };
        (labels.to_string(), value)
    };
    let rows = prometheus.query(query).iter().map(row).collect();
    if MOMENTARY.iter().any(|part| query.contains(part)) { Rows::new() } else { rows }
}

/// Panels that differ, with both.
fn differences<'s>(before: &'s Shown, now: &'s Shown) -> Vec<(&'s str, Option<&'s Rows>, Option<&'s Rows>)> {
    let panels: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let both = panels.into_iter().map(|panel| (panel.as_str(), before.get(panel), now.get(panel)));
    both.filter(|(_, before, now)| before != now).collect()
}

/// Releases that a table has more than one row of.
fn shown_twice(shown: &Shown) -> Vec<String> {
    let mut twice = Vec::new();
    for (panel, rows) in shown {
        let mut seen = BTreeSet::new();
        for labels in rows.keys() {
            let row: Value = serde_json::from_str(labels).expect("JSON");
            let of = [text(&row, "/release_namespace"), text(&row, "/release")];
            if !of[1].is_empty() && !seen.insert(of) {
                twice.push(format!("{panel}: {labels}"));
            }
        }
    }
    twice
}

/// Waits until these replicas work on the releases and the panels are as before, for some scrapes. Until then,
/// too, no table has a release twice.
async fn wait_shown(fleet: &Fleet, prometheus: &Prometheus, pods: &[&str], before: &Shown) {
    let expected: BTreeSet<&str> = pods.iter().copied().collect();
    let (mut last, mut since) = (Shown::new(), None);
    let what = format!("the panels are as before, of {pods:?}");
    let are_same = async || {
        let workers = fleet.workers().await;
        last = shown(prometheus, (fleet.story.namespace(), "r0"));
        assert_eq!(shown_twice(&last), [""; 0]);
        let is_same = workers.values().map(String::as_str).collect::<BTreeSet<_>>() == expected
            && differences(before, &last).is_empty();
        let since = since.get_or_insert_with(Instant::now);
        if !is_same {
            *since = Instant::now();
        }
        (since.elapsed() >= INTERVAL * 4).then_some(())
    };
    if tokio::time::timeout(LIMIT, fleet.story.wait_for(&what, are_same)).await.is_err() {
        panic!("{what}: {:#?}", differences(before, &last));
    }
}

/// Releases of each kind that panels count, `WELL` of which have no trouble.
async fn install(fleet: &Fleet) {
    let namespace = fleet.story.namespace();
    let push = |name: &str, yaml: &str| drop(registry().push_yaml(&format!("{namespace}/{name}"), "1", yaml));
    fleet.install(WELL).await;
    for name in ["report", "paused"] {
        push(name, &config_map(name, "one"));
        fleet.create_with(name, json!({}), json!({"drift": {"mode": "Report"}}));
        fleet.story.wait_ready(name, "1@").await;
    }
    push("broken", "this is: [no manifest");
    fleet.create("broken", json!({}));
    fleet.story.patch(GROUP, "ociartifactreleases", "paused", &json!({"spec": {"suspend": true}}));
    fleet.story.patch("v1", "configmaps", "report", &json!({"data": {"key": "edited"}}));
    fleet.story.wait_condition("broken", "Ready", "False", "ManifestInvalid").await;
}

#[story]
async fn panels_show_releases_of_several_replicas_as_those_of_one() {
    let mut fleet = Fleet::begin("sharing-panels").await;
    let pods = ["a", "b", "c"];
    let addresses = pods.map(|_| format!("127.0.0.1:{}", ports::free()));
    let labels = vec![("namespace".to_owned(), "supercargo-system".to_owned())];
    let targets =
        addresses.each_ref().map(|address| Target { address: address.clone(), labels: labels.clone() });
    let start =
        |fleet: &mut Fleet, n: usize| fleet.start_as(pods[n], fleet.options(pods[n]).metrics(&addresses[n]));
    start(&mut fleet, 0);
    let prometheus = Prometheus::start(&targets, "groups: []");
    install(&fleet).await;

    // Of one replica, which has all of them.
    let counts = [("True", WELL + 1), ("False", 1), ("Suspended", 1), ("Unknown", 0)];
    let has = |query: &str, expected: usize| {
        prometheus.query(query).first().is_some_and(|sample| text(sample, "/value/1") == expected.to_string())
    };
    let is_counted = || {
        counts
            .iter()
            .all(|(state, count)| has(&format!("sum(supercargo_releases{{ready=\"{state}\"}})"), *count))
            && has("sum(supercargo_release_drifted)", 1)
            && has("sum(supercargo_release_suspended)", 1)
            && has("sum(supercargo_queue_depth)", 0)
    };
    assert!(within(LIMIT, is_counted), "{:#?}", shown(&prometheus, (fleet.story.namespace(), "r0")));
    let before = shown(&prometheus, (fleet.story.namespace(), "r0"));
    wait_shown(&fleet, &prometheus, &["a"], &before).await;

    start(&mut fleet, 1);
    start(&mut fleet, 2);
    wait_shown(&fleet, &prometheus, &pods, &before).await;
    let parts = prometheus.query("supercargo_releases{ready=\"True\"} > 0");
    assert_eq!(parts.len(), 3, "each has a part: {parts:?}");
    // One gives its share back, and one is killed.
    assert_eq!(fleet.operator("b").stop(), Some(0));
    wait_shown(&fleet, &prometheus, &["a", "c"], &before).await;
    fleet.operator("a").kill();
    wait_shown(&fleet, &prometheus, &["c"], &before).await;
}
