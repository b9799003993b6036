//! The exposed metrics, and their rules.

use super::super::super::labels::BuildResult;
use super::super::catalog::CATALOG;
use super::*;
use crate::api::plan::PlanStatus;
use crate::api::reason::Disposition;
use std::collections::{BTreeMap, BTreeSet};

fn recorded() -> Metrics {
    let metrics = Metrics::new("1.2.3").unwrap();
    metrics.leader(true);
    metrics.works(true);
    metrics.replicas(3);
    metrics.release_moved(crate::observe::labels::Handover::Taken);
    metrics.reconciled(RunResult::Success, Reason::ReconciliationSucceeded);
    metrics.reconciled(RunResult::Failure(Disposition::Stalled), Reason::InvalidSpec);
    metrics.phase(Phase::Render, Duration::from_millis(3));
    let id = ReleaseId { namespace: "shop".into(), name: "web".into() };
    let plan = PlanStatus { since: "2026-01-01T00:00:00Z".into(), ..PlanStatus::default() };
    let ready = serde_json::json!({
        "type": "Ready", "status": "False", "reason": "ApprovalRequired", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let conditions = vec![serde_json::from_value(ready).unwrap()];
    let status = ReleaseStatus { plan: Some(plan), conditions, ..ReleaseStatus::default() };
    metrics.release_appeared(&id, false, &status);
    metrics.release_succeeded(&id, jiff::Timestamp::from_second(1_700_000_000).unwrap());
    metrics.objects(Action::Pruned, 2);
    metrics.drift_detected(3);
    metrics.drift_corrected(2);
    let took = Duration::from_millis(4);
    metrics.registry_request("r.example:5000", Method::Head, Answer::Status(200), took);
    metrics.api_request(Verb::DryRun, Answer::Nothing, took);
    metrics.remote_api_request(Verb::Get);
    metrics.verified(Verification::Refused, Reason::SignatureMissing);
    metrics.policy_loaded(Load::Failed);
    metrics.cache_request(CacheResult::Miss);
    metrics.cache_size(4096);
    metrics.build(BuildResult::Cached);
    metrics.webhook_request(Some(Sender::Harbor), WebhookResult::Replayed);
    metrics.webhook_triggered(3);
    metrics.webhooks_loaded(Load::Failed);
    metrics.news(ReceiverType::Slack, NewsResult::Refused, 2);
    metrics.news_waiting(ReceiverType::Slack, "team", Instant::now().checked_sub(Duration::from_secs(90)));
    metrics.notify_loaded(Load::Loaded);
    metrics
}

#[test]
fn what_was_recorded_is_exposed() {
    let text = recorded().expose().unwrap();
    for line in [
        "supercargo_build_info{version=\"1.2.3\"} 1",
        "supercargo_reconciles_total{outcome=\"success\",reason=\"ReconciliationSucceeded\"} 1",
        "supercargo_reconciles_total{outcome=\"stalled\",reason=\"InvalidSpec\"} 1",
        "supercargo_reconcile_duration_seconds_count{phase=\"render\"} 1",
        "supercargo_reconcile_duration_seconds_count{phase=\"apply\"} 0",
        "supercargo_objects_total{action=\"pruned\"} 2",
        "supercargo_objects_total{action=\"created\"} 0",
        "supercargo_drift_detected_total 3",
        "supercargo_drift_corrected_total 2",
        "supercargo_registry_requests_total{code=\"200\",host=\"r.example:5000\",method=\"HEAD\"} 1",
        "supercargo_registry_request_duration_seconds_bucket{host=\"r.example:5000\",le=\"0.01\"} 1",
        "supercargo_api_requests_total{code=\"none\",verb=\"dry_run\"} 1",
        "supercargo_api_request_duration_seconds_bucket{verb=\"dry_run\",le=\"0.005\"} 1",
        "supercargo_verifications_total{reason=\"SignatureMissing\",result=\"refused\"} 1",
        "supercargo_trust_policy_loads_total{result=\"failed\"} 1",
        "supercargo_trust_policy_loads_total{result=\"loaded\"} 0",
        "supercargo_leader 1",
        "supercargo_replicas 3",
        "supercargo_handovers_total{direction=\"taken\"} 1",
        "supercargo_handovers_total{direction=\"given\"} 0",
        "supercargo_queue_depth 0",
        "supercargo_queue_oldest_age_seconds 0",
        "supercargo_cache_requests_total{result=\"miss\"} 1",
        "supercargo_cache_size_bytes 4096",
        "supercargo_builds_total{result=\"cached\"} 1",
        "supercargo_builds_total{result=\"failed\"} 0",
        "supercargo_last_success_timestamp_seconds 1700000000",
        "supercargo_webhook_config_loads_total{result=\"failed\"} 1",
        "supercargo_webhook_config_loads_total{result=\"loaded\"} 0",
        "supercargo_webhook_requests_total{result=\"replayed\",sender=\"harbor\"} 1",
        "supercargo_webhook_requests_total{result=\"accepted\",sender=\"github\"} 0",
        "supercargo_webhook_triggers_total 3",
        "supercargo_notifications_total{result=\"refused\",type=\"slack\"} 2",
        "supercargo_notifications_oldest_age_seconds{type=\"slack\"} 90",
        "supercargo_notifications_oldest_age_seconds{type=\"cloudevents\"} 0",
        "supercargo_notify_config_loads_total{result=\"loaded\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

/// Names of the labels of a series, but for that of a bucket.
fn labels(series: &str) -> BTreeSet<&str> {
    let (_, labels) = series.split_once('{').unwrap_or_default();
    let names = labels.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name);
    names.filter(|name| *name != "le").collect()
}

#[test]
fn the_catalog_lists_every_metric_and_no_other() {
    let text = recorded().expose().unwrap();
    let kinds: BTreeMap<&str, &str> =
        text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let helps: BTreeMap<&str, &str> =
        text.lines().filter_map(|l| l.strip_prefix("# HELP ")?.split_once(' ')).collect();
    let entries: Vec<_> = CATALOG.iter().flat_map(|group| group.entries).collect();
    for entry in &entries {
        assert_eq!(kinds.get(entry.name), Some(&entry.kind.as_str()), "{}", entry.name);
        if entry.name.starts_with("supercargo_") {
            assert_eq!(helps.get(entry.name), Some(&entry.help));
        }
        let end = match entry.kind.as_str() {
            "histogram" => "_bucket{",
            _ if entry.labels.is_empty() => " ",
            _ => "{",
        };
        let series = text.lines().find(|l| l.strip_prefix(entry.name).is_some_and(|l| l.starts_with(end)));
        let listed: BTreeSet<&str> = entry.labels.iter().map(|(name, _)| *name).collect();
        assert_eq!(labels(series.unwrap_or_else(|| panic!("{} has no series", entry.name))), listed);
    }
    let listed: BTreeSet<&str> = entries.iter().map(|entry| entry.name).collect();
    assert_eq!(listed.len(), entries.len(), "a metric is listed twice");
    assert_eq!(kinds.into_keys().collect::<BTreeSet<_>>(), listed);
}

#[test]
fn names_follow_the_rules_of_prometheus() {
    for entry in CATALOG.iter().flat_map(|group| group.entries) {
        let (name, kind) = (entry.name, entry.kind.as_str());
        assert!(name.starts_with("supercargo_") || name.starts_with("process_"), "{name} has another prefix");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        let unit = ["_seconds", "_bytes"].iter().any(|unit| name.ends_with(unit));
        assert!(kind != "histogram" || unit, "{name} does not end with its base unit");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name} is not snake case");
        for unit in ["milli", "minute", "kilo", "mega"] {
            assert!(!name.contains(unit), "{name} is not in a base unit");
        }
        assert!(entry.help.ends_with('.'), "{name}: the help is no sentence");
        assert!(
            entry.labels.iter().all(|(label, _)| !["namespace", "job", "instance"].contains(label)),
            "{name}: a scrape would rename a label"
        );
    }
}
