//! What /metrics tells of releases that are well, ill, drifting, suspended,
//! waiting, verified and gone; and that docs/metrics.md names all of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::DEADLINE;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, Registry, Signer, bed, poll_until, processes, repository, story};

use super::scene::{BINARY, Scene, config_map};

const PROFILES: Profiles = Profiles::First("figures do not depend on rights");

/// One scrape: series, as they are written, and their values.
struct Scrape {
    text: String,
    series: BTreeMap<String, f64>,
}

impl Scrape {
    fn of(operator: &Operator) -> Scrape {
        let text = operator.metrics();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Scrape { series: series.collect(), text }
    }

    /// The series of a metric, of a part of it whose labels hold all of these.
    fn with<'a>(&'a self, name: &'a str, labels: &'a [&str]) -> impl Iterator<Item = (&'a str, f64)> {
        let of_it = move |series: &str| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && labels.iter().all(|label| series.contains(label))
        };
        self.series
            .iter()
            .filter(move |(series, _)| of_it(series))
            .map(|(series, value)| (series.as_str(), *value))
    }

    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.with(name, labels).map(|(_, value)| value).sum()
    }

    fn has(&self, name: &str) -> bool {
        self.text.contains(&format!("\n# TYPE {name} ")) || self.text.starts_with(&format!("# TYPE {name} "))
    }

    /// Series of a release by its name, without the prefix and its own labels.
    fn release(&self, name: &str) -> Vec<String> {
        let of_it = format!("release=\"{name}\"");
        let all = self.series.iter().filter(|(series, _)| {
            series.strip_prefix("supercargo_release_").is_some_and(|rest| rest.contains(&of_it))
        });
        all.map(|(series, value)| format!("{} {value}", series.trim_start_matches("supercargo_release_")))
            .collect()
    }
}

/// The metrics of the tables of docs/metrics.md.
fn documented() -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("docs/metrics.md")).expect("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64()
}

/// A Deployment whose pods find no node.
fn homeless(name: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "nodeSelector": {"metrics.example/none": "such"},
                    "containers": [{"name": "web", "image": "example.invalid/web:1"}],
                },
            },
        },
    })
    .to_string()
}

/// What is wrong with a scrape after the story below; the metrics that were
/// looked at.
fn judged(scrape: &Scrape) -> (Vec<String>, Vec<&'static str>) {
    let at_least_one = 1.0..f64::INFINITY;
    let recently = now() - 600.0..now() + 60.0;
    let expected: &[(&'static str, &[&str], std::ops::Range<f64>)] = &[
        ("supercargo_reconciles_total", &["success", "ReconciliationSucceeded"], 4.0..f64::INFINITY),
        ("supercargo_reconciles_total", &["retry", "ArtifactNotFound"], at_least_one.clone()),
        ("supercargo_objects_total", &["created"], 4.0..4.5),
        ("supercargo_objects_total", &["pruned"], 1.0..2.0),
        ("supercargo_drift_detected_total", &[], 2.0..3.0),
        ("supercargo_drift_corrected_total", &[], 1.0..2.0),
        ("supercargo_health_waits", &[], 1.0..1.5),
        ("supercargo_failure_verdict_seconds_count", &[], 0.0..0.5),
        ("supercargo_steps_total", &[], 0.0..0.5),
        ("supercargo_rollbacks_total", &[], 0.0..0.5),
        ("supercargo_queue_depth", &[], 0.0..0.5),
        ("supercargo_queue_oldest_age_seconds", &[], 0.0..0.5),
        ("supercargo_remote_clusters", &[], 0.0..0.5),
        ("supercargo_remote_clusters_unreachable", &[], 0.0..0.5),
        ("supercargo_remote_api_requests_total", &[], 0.0..0.5),
        ("supercargo_releases", &["\"True\""], 3.0..3.5),
        ("supercargo_releases", &["\"False\""], 2.0..2.5),
        ("supercargo_releases", &["\"Unknown\""], 1.0..1.5),
        ("supercargo_releases", &["\"Suspended\""], 1.0..1.5),
        ("supercargo_releases_waiting", &["\"suspend\""], 1.0..1.5),
        ("supercargo_releases_waiting", &["\"approval\""], 1.0..1.5),
        ("supercargo_release_approval_requested_timestamp_seconds", &["\"unapproved\""], recently.clone()),
        ("supercargo_inventory_entries", &[], 3.0..3.5),
        ("supercargo_last_success_timestamp_seconds", &[], recently.clone()),
        ("supercargo_release_info", &[], 7.0..7.5),
        ("supercargo_release_ready", &[], 3.0..3.5),
        ("supercargo_release_ready_transition_timestamp_seconds", &["\"broken\""], recently.clone()),
        ("supercargo_release_suspended", &[], 1.0..1.5),
        ("supercargo_release_drifted", &[], 1.0..1.5),
        ("supercargo_release_last_success_timestamp_seconds", &["\"good\""], recently.clone()),
        ("supercargo_release_inventory_entries", &[], 3.0..3.5),
        ("supercargo_registry_requests_total", &["HEAD", "200", "127.0.0.1:"], at_least_one.clone()),
        ("supercargo_registry_requests_total", &["HEAD", "404"], at_least_one.clone()),
        ("supercargo_registry_request_duration_seconds_count", &["127.0.0.1:"], 5.0..f64::INFINITY),
        ("supercargo_cache_requests_total", &["miss"], at_least_one.clone()),
        ("supercargo_cache_requests_total", &["hit"], at_least_one.clone()),
        ("supercargo_cache_size_bytes", &[], 500.0..1e9),
        ("supercargo_builds_total", &[], 0.0..0.5),
        ("supercargo_verifications_total", &["verified", "Verified"], at_least_one.clone()),
        ("supercargo_trust_policy_loads_total", &[], 0.0..0.5),
        ("supercargo_trusted_root_newest_timestamp_seconds", &[], 1.5e9..now()),
        ("supercargo_webhook_requests_total", &[], 0.0..0.5),
        ("supercargo_webhook_triggers_total", &[], 0.0..0.5),
        ("supercargo_webhook_config_loads_total", &[], 0.0..0.5),
        ("supercargo_notifications_total", &[], 0.0..0.5),
        ("supercargo_notifications_oldest_age_seconds", &[], 0.0..0.5),
        ("supercargo_notify_config_loads_total", &[], 0.0..0.5),
        ("supercargo_api_requests_total", &["apply", "201"], at_least_one.clone()),
        ("supercargo_api_requests_total", &["watch", "200"], at_least_one.clone()),
        ("supercargo_api_request_duration_seconds_count", &["dry_run"], at_least_one.clone()),
        ("supercargo_build_info", &[env!("CARGO_PKG_VERSION")], 1.0..1.5),
        ("supercargo_leader", &[], 1.0..1.5),
        ("supercargo_replicas", &[], 0.0..0.5),
        ("supercargo_handovers_total", &[], 0.0..0.5),
        ("process_cpu_seconds_total", &[], 0.0..600.0),
        ("process_max_fds", &[], 10.0..f64::INFINITY),
        ("process_open_fds", &[], 5.0..1000.0),
        ("process_resident_memory_bytes", &[], 1e6..1e9),
        ("process_start_time_seconds", &[], recently),
        ("process_threads", &[], 1.0..1000.0),
        ("process_virtual_memory_bytes", &[], 1e6..f64::INFINITY),
    ];
    let mut wrong = Vec::new();
    for (name, labels, range) in expected {
        let sum = scrape.sum(name, labels);
        if scrape.with(name, labels).next().is_none() || !range.contains(&sum) {
            wrong.push(format!("{name} with {labels:?} is {sum}, not in {range:?}"));
        }
    }
    let phases = "supercargo_reconcile_duration_seconds_count";
    for (series, runs) in scrape.with(phases, &[]) {
        // No artifact here has a kustomization; the stories about them count builds.
        if runs < 1.0 && !series.contains("phase=\"build\"") {
            wrong.push(format!("{series} is {runs}"));
        }
    }
    let names = expected.iter().map(|(name, ..)| name.trim_end_matches("_count"));
    (wrong, names.chain(["supercargo_reconcile_duration_seconds"]).collect())
}

impl Scene<'_> {
    /// Scrapes until there is nothing to complain of.
    fn wait_scrape(&self, what: &str, complaints: impl Fn(&Scrape) -> Vec<String>) -> Scrape {
        let last = RefCell::new(Scrape::of(&self.operator));
        let fits = || {
            *last.borrow_mut() = Scrape::of(&self.operator);
            complaints(&last.borrow()).is_empty()
        };
        let told = || format!("{}\n{}", complaints(&last.borrow()).join("\n"), last.borrow().text);
        poll_until(what, DEADLINE, fits, told);
        last.into_inner()
    }

    /// Waits until these are the series of a release, `@` its labels, those apart
    /// that hold a revision or a time.
    fn wait_series(&self, release: &str, expected: &[String]) {
        let labels = format!("release=\"{release}\",release_namespace=\"{}\"", self.story.namespace());
        let expected: Vec<String> = expected.iter().map(|series| series.replace('@', &labels)).collect();
        self.wait_scrape(&format!("the series of {release}"), |scrape| {
            let mut series = scrape.release(release);
            series.retain(|s| !s.starts_with("info") && !s.contains("timestamp_seconds"));
            if series == expected { Vec::new() } else { vec![format!("{series:?}")] }
        });
    }
}

#[story]
async fn every_documented_metric_has_its_value_and_the_series_of_a_release_go_with_it() {
    let scene = Scene::builder("metrics").await.own_registry(Registry::plain()).slow_retries().start();
    let push = |name: &str, tag: &str, yaml: &str| scene.push(name, tag, yaml);
    push("good", "1", &(config_map("good", "1") + &config_map("extra", "1")));
    push("good", "2", &config_map("good", "2"));
    for name in ["drifting", "signed", "asleep", "unapproved"] {
        push(name, "1", &config_map(name, "1"));
    }
    push("waiting", "1", &homeless("waiting"));
    push("broken", "another", &config_map("broken", "1"));
    let signer = Signer::new(Algorithm::P256);
    let digest = push("signed", "1", &config_map("signed", "1"));
    let reference = format!("{}/signed@{digest}", scene.registry().host());
    signer.sign(scene.registry(), &reference, Format::Bundle, &[]);
    let key = format!("--from-file={}", signer.public().display());
    scene.story.kubectl(&["create", "secret", "generic", "keys", &key], "");

    scene.create("good", json!({"wait": true}));
    scene.create("drifting", json!({"drift": {"mode": "Report"}}));
    scene.create("signed", json!({"verify": {"provider": "cosign", "secretRef": {"name": "keys"}}}));
    scene.create("asleep", json!({"suspend": true}));
    scene.create("unapproved", json!({"approval": "Manual"}));
    scene.create("waiting", json!({"wait": true, "timeout": "1h"}));
    scene.create("broken", json!({}));
    for name in ["good", "drifting", "signed"] {
        scene.story.wait_ready(name, "1@").await;
    }
    scene.story.wait_condition("broken", "Ready", "False", "ArtifactNotFound").await;
    scene.story.wait_condition("asleep", "Ready", "Unknown", "Suspended").await;
    scene.story.wait_condition("unapproved", "Ready", "False", "ApprovalRequired").await;
    scene.story.wait_condition("waiting", "Reconciling", "True", "Progressing").await;
    scene.change("good", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("good", "2@").await;
    scene.story.wait_gone("v1", "configmaps", "extra").await;
    let edit = |name: &str| {
        scene.edit(name, "9");
    };
    edit("good");
    scene.wait_data("good", "2").await;
    edit("drifting");
    scene.story.wait_condition("drifting", "Drifted", "True", "DriftDetected").await;

    let scrape = scene.wait_scrape("the metrics of the story", |scrape| judged(scrape).0);
    let looked_at = judged(&scrape).1;
    let documented = documented();
    assert!(documented.len() > 35, "docs/metrics.md is not read: {documented:?}");
    for name in &documented {
        assert!(scrape.has(name), "{name} is in docs/metrics.md and not in\n{}", scrape.text);
        assert!(looked_at.contains(&name.as_str()), "{name} is not looked at here");
    }
    let told = scrape.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in told {
        assert!(documented.iter().any(|one| one == name), "{name} is not in docs/metrics.md");
    }
    let mut lint = processes::command(Tools::prometheus().path("promtool"));
    let linted = bed::run(lint.args(["check", "metrics"]), &scrape.text);
    let told =
        format!("{}{}", String::from_utf8_lossy(&linted.stderr), String::from_utf8_lossy(&linted.stdout));
    assert!(linted.status.success() && told.trim().is_empty(), "{told}");
    releases_change_and_go(&scene, &scrape, &digest);
}

fn releases_change_and_go(scene: &Scene<'_>, scrape: &Scrape, signed: &str) {
    let info = scrape.with("supercargo_release_info", &["release=\"signed\""]).next().expect("its info").0;
    for label in ["attempted_revision", "revision"] {
        assert!(info.contains(&format!(",{label}=\"1@{signed}\"")), "{info}");
    }
    assert!(info.contains("generation=\"1\""), "{info}");
    assert!(!info.contains("signer=\"\"") && info.contains("cosign.pub"), "{info}");
    let ready = "ready{reason=\"ReconciliationSucceeded\",@} 1";
    let of = |drifted: u8, entries: u8, ready: &'static str, suspended: u8| {
        [
            format!("drifted{{@}} {drifted}"),
            format!("inventory_entries{{@}} {entries}"),
            ready.to_owned(),
            format!("suspended{{@}} {suspended}"),
        ]
    };
    let check = |release: &str, series: [String; 4]| scene.wait_series(release, &series);
    check("good", of(0, 1, ready, 0));
    check("drifting", of(1, 1, ready, 0));
    check("broken", of(0, 0, "ready{reason=\"ArtifactNotFound\",@} 0", 0));
    check("waiting", of(0, 0, "ready{reason=\"Progressing\",@} 0", 0));
    check("asleep", of(0, 0, "ready{reason=\"Suspended\",@} 0", 1));

    scene.change("asleep", json!({"suspend": false}));
    check("asleep", of(0, 1, ready, 0));
    scene.change("good", json!({"suspend": true}));
    check("good", of(0, 1, ready, 1));
    scene.push("broken", "1", &config_map("broken", "1"));
    scene.ask("broken", "now");
    check("broken", of(0, 1, ready, 0));
    for name in ["drifting", "waiting"] {
        scene.story.kubectl(&["delete", "oar", name], "");
        scene.wait_series(name, &[]);
    }
    let scrape = Scrape::of(&scene.operator);
    assert_eq!(scrape.release("drifting"), [""; 0]);
    assert_eq!(scrape.sum("supercargo_health_waits", &[]), 0.0);
    assert!(scrape.sum("supercargo_reconciles_total", &["success", "Deleting"]) >= 2.0, "{}", scrape.text);
}

#[story]
async fn a_replica_that_does_not_lead_and_one_that_is_told_not_to_have_no_series_of_releases() {
    let change = |options: Options| options.argument("--release-metrics=false");
    let scene = Scene::builder("metrics-none")
        .await
        .own_registry(Registry::plain())
        .slow_retries()
        .start_with(change);
    let mut standby =
        Options::new(BINARY, &scene.story.operator_account()).watching(&[scene.story.namespace()]).start();
    standby.wait_ready();
    scene.push("app", "1", &config_map("app", "1"));
    scene.create("app", Value::Object(serde_json::Map::new()));
    scene.story.wait_ready("app", "1@").await;
    let scrapes = [Scrape::of(&scene.operator), Scrape::of(&standby)];
    for scrape in &scrapes {
        let of_releases = scrape.series.keys().find(|series| series.starts_with("supercargo_release_"));
        assert_eq!(of_releases, None, "{}", scrape.text);
    }
    let expected: [(&str, &[&str], [f64; 2]); 3] = [
        ("supercargo_leader", &[], [1.0, 0.0]),
        ("supercargo_releases", &["\"True\""], [1.0, 0.0]),
        ("supercargo_inventory_entries", &[], [1.0, 0.0]),
    ];
    for (name, labels, values) in expected {
        assert_eq!(scrapes.each_ref().map(|scrape| scrape.sum(name, labels)), values, "{name}");
    }
    assert!(scrapes[0].has("supercargo_last_success_timestamp_seconds"));
    assert!(!scrapes[1].has("supercargo_last_success_timestamp_seconds"));
}
