//! The series of releases: their values, and when they end.

use super::super::recorder::Metrics;
use super::*;
use crate::api::status::{ArtifactStatus, HistoryEntry, InventoryStatus};

fn id(name: &str) -> ReleaseId {
    ReleaseId { namespace: "shop".into(), name: name.into() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn status(conditions: &[(&str, &str, &str, i64)]) -> ReleaseStatus {
    let condition = |(kind, status, reason, since): &(&str, &str, &str, i64)| {
        serde_json::from_value(serde_json::json!({
            "type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": at(*since),
        }))
        .unwrap()
    };
    ReleaseStatus { conditions: conditions.iter().map(condition).collect(), ..ReleaseStatus::default() }
}

fn applied(status: ReleaseStatus, revision: &str, subject: &str) -> ReleaseStatus {
    let by = VerifiedBy { subject: Some(subject.to_owned()), ..VerifiedBy::default() };
    ReleaseStatus {
        last_applied_revision: Some(revision.to_owned()),
        artifact: Some(ArtifactStatus {
            revision: revision.to_owned(),
            verified_by: vec![by],
            ..ArtifactStatus::default()
        }),
        inventory: Some(InventoryStatus { name: "inv-web".into(), entries: 12 }),
        ..status
    }
}

fn leading() -> Metrics {
    let metrics = Metrics::new("1.2.3").unwrap();
    metrics.works(true);
    metrics
}

/// The series of releases, without the prefix.
fn series(metrics: &Metrics) -> Vec<String> {
    let text = metrics.expose().unwrap();
    text.lines().filter_map(|l| l.strip_prefix("supercargo_release_")).map(str::to_owned).collect()
}

const OF_WEB: &str = "release=\"web\",release_namespace=\"shop\"";

#[test]
fn a_release_has_its_series_from_its_status_until_it_goes() {
    let metrics = leading();
    let check = |expected: &[String]| assert_eq!(series(&metrics), expected);
    metrics.release_appeared(&id("web"), false, &ReleaseStatus::default());
    check(&[
        format!("drifted{{{OF_WEB}}} 0"),
        format!("info{{{OF_WEB},attempted_revision=\"\",generation=\"\",revision=\"\",signer=\"\"}} 1"),
        format!("inventory_entries{{{OF_WEB}}} 0"),
        format!("ready{{reason=\"Progressing\",{OF_WEB}}} 0"),
        format!("suspended{{{OF_WEB}}} 0"),
    ]);
    let well =
        status(&[("Ready", "True", "ReconciliationSucceeded", 100), ("Drifted", "False", "InSync", 100)]);
    metrics.release_reported(&id("web"), false, &applied(well, "1.0.0@sha256:aa", "ci@example.org"));
    metrics.release_succeeded(&id("web"), at(500));
    check(&[
        format!("drifted{{{OF_WEB}}} 0"),
        format!(
            "info{{{OF_WEB},attempted_revision=\"1.0.0@sha256:aa\",generation=\"\",revision=\"1.0.0@sha256:aa\",signer=\"ci@example.org\"}} 1"
        ),
        format!("inventory_entries{{{OF_WEB}}} 12"),
        format!("last_success_timestamp_seconds{{{OF_WEB}}} 500"),
        format!("ready{{reason=\"ReconciliationSucceeded\",{OF_WEB}}} 1"),
        format!("ready_transition_timestamp_seconds{{{OF_WEB}}} 100"),
        format!("suspended{{{OF_WEB}}} 0"),
    ]);
    let ill = status(&[("Ready", "False", "HealthTimeout", 600), ("Drifted", "True", "Contested", 600)]);
    metrics.release_reported(&id("web"), true, &applied(ill, "1.0.0@sha256:aa", "ci@example.org"));
    check(&[
        format!("drifted{{{OF_WEB}}} 1"),
        format!(
            "info{{{OF_WEB},attempted_revision=\"1.0.0@sha256:aa\",generation=\"\",revision=\"1.0.0@sha256:aa\",signer=\"ci@example.org\"}} 1"
        ),
        format!("inventory_entries{{{OF_WEB}}} 12"),
        format!("last_success_timestamp_seconds{{{OF_WEB}}} 500"),
        format!("ready{{reason=\"HealthTimeout\",{OF_WEB}}} 0"),
        format!("ready_transition_timestamp_seconds{{{OF_WEB}}} 600"),
        format!("suspended{{{OF_WEB}}} 1"),
    ]);
    metrics.release_gone(&id("web"));
    check(&[]);
    // A run that ends after its release does not restore the series.
    metrics.release_reported(&id("web"), false, &ReleaseStatus::default());
    metrics.release_succeeded(&id("web"), at(900));
    check(&[]);
}

#[test]
fn a_broken_release_shows_since_when_and_what_was_attempted_also_after_a_restart() {
    let broken = |applied: Option<&str>, attempted: Option<&str>, generation: i64| ReleaseStatus {
        last_applied_revision: applied.map(str::to_owned),
        last_attempted_revision: attempted.map(str::to_owned),
        observed_generation: Some(generation),
        ..status(&[("Ready", "False", "VerificationFailed", 600)])
    };
    let check = |metrics: &Metrics, attempted: &str, generation: i64, applied: &str| {
        let series = series(metrics);
        let info = format!(
            "info{{{OF_WEB},attempted_revision=\"{attempted}\",generation=\"{generation}\",revision=\"{applied}\",signer=\"\"}} 1"
        );
        assert!(series.contains(&info), "{info} is not in {series:#?}");
        // Those of before are gone.
        assert_eq!(series.iter().filter(|one| one.starts_with("info")).count(), 1, "{series:#?}");
        let since = format!("ready_transition_timestamp_seconds{{{OF_WEB}}} 600");
        assert!(series.contains(&since), "{since} is not in {series:#?}");
    };
    // No run of this process, and no success ever.
    let metrics = leading();
    metrics.release_appeared(&id("web"), false, &broken(None, Some("1@sha256:aa"), 1));
    check(&metrics, "1@sha256:aa", 1, "");
    metrics.release_reported(&id("web"), false, &broken(Some("1@sha256:aa"), Some("2@sha256:bb"), 1));
    check(&metrics, "2@sha256:bb", 1, "1@sha256:aa");
    // The spec was edited.
    metrics.release_reported(&id("web"), false, &broken(Some("1@sha256:aa"), Some("1@sha256:aa"), 2));
    check(&metrics, "1@sha256:aa", 2, "1@sha256:aa");
}

#[test]
fn only_a_replica_that_works_has_series_of_releases() {
    let metrics = Metrics::new("1.2.3").unwrap();
    let appear = || {
        metrics.release_appeared(
            &id("web"),
            false,
            &status(&[("Ready", "True", "ReconciliationSucceeded", 100)]),
        );
    };
    let quiet = || {
        assert_eq!(series(&metrics), [""; 0]);
        let text = metrics.expose().unwrap();
        assert!(text.contains("supercargo_releases{ready=\"True\"} 0\n"), "{text}");
        assert!(text.contains("supercargo_inventory_entries 0\n"), "{text}");
        assert!(!text.contains("supercargo_last_success"), "{text}");
    };
    appear();
    quiet();
    metrics.works(true);
    appear();
    assert_eq!(series(&metrics).len(), 7);
    metrics.works(false);
    quiet();
}

#[test]
fn series_of_each_release_can_be_switched_off() {
    let metrics = leading();
    metrics.each_release(false);
    let well = status(&[("Ready", "True", "ReconciliationSucceeded", 100)]);
    metrics.release_appeared(&id("web"), false, &applied(well, "1", "me"));
    assert_eq!(series(&metrics), [""; 0]);
    let text = metrics.expose().unwrap();
    assert!(text.contains("supercargo_releases{ready=\"True\"} 1\n"), "{text}");
    assert!(text.contains("supercargo_inventory_entries 12\n"), "{text}");
    assert!(text.contains("supercargo_last_success_timestamp_seconds 100\n"), "{text}");
}

#[test]
fn states_are_those_of_ready_and_of_suspension() {
    let metrics = leading();
    let all = [
        ("a", false, status(&[("Ready", "True", "ReconciliationSucceeded", 1)])),
        ("b", false, status(&[("Ready", "False", "InvalidSpec", 1)])),
        ("c", false, status(&[("Ready", "Unknown", "Progressing", 1)])),
        ("d", false, ReleaseStatus::default()),
        ("e", true, status(&[("Ready", "True", "ReconciliationSucceeded", 1)])),
    ];
    for (name, suspended, status) in &all {
        metrics.release_appeared(&id(name), *suspended, status);
    }
    let text = metrics.expose().unwrap();
    for (state, count) in [("True", 1), ("False", 1), ("Unknown", 2), ("Suspended", 1)] {
        let line = format!("supercargo_releases{{ready=\"{state}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_last_success_is_read_from_the_status_after_a_restart() {
    let entry = |applied_at: i64, outcome: &str| HistoryEntry {
        revision: "1".into(),
        digest: "sha256:aa".into(),
        applied_at: at(applied_at).to_string(),
        outcome: outcome.to_owned(),
        ..HistoryEntry::default()
    };
    let check = |conditions: &[(&str, &str, &str, i64)], history: &[HistoryEntry], expected: Option<i64>| {
        let status = ReleaseStatus { history: history.to_vec(), ..status(conditions) };
        assert_eq!(known_success(&status), expected, "{conditions:?} {history:?}");
    };
    let ready = ("Ready", "True", "ReconciliationSucceeded", 100);
    let failed = ("Ready", "False", "HealthTimeout", 900);
    check(&[], &[], None);
    check(&[failed], &[], None);
    check(&[failed], &[entry(300, "Failed")], None);
    check(&[ready], &[], Some(100));
    check(&[ready], &[entry(300, "Healthy"), entry(200, "Applied")], Some(300));
    check(&[failed], &[entry(300, "Failed"), entry(200, "Applied")], Some(200));
    // Another client may have written anything into the status.
    check(&[ready], &[HistoryEntry { applied_at: "yesterday".into(), ..entry(0, "Applied") }], Some(100));
}

#[test]
fn the_signer_is_that_of_what_is_applied() {
    let mut sample = Sample::default();
    let mut check = |applied_revision: &str, attempted: &str, by: &[&str], expected: &str| {
        let verified_by =
            by.iter().map(|s| VerifiedBy { subject: Some((*s).into()), ..VerifiedBy::default() });
        let artifact = ArtifactStatus {
            revision: attempted.into(),
            verified_by: verified_by.collect(),
            ..ArtifactStatus::default()
        };
        let status = ReleaseStatus {
            last_applied_revision: Some(applied_revision.into()),
            artifact: Some(artifact),
            ..ReleaseStatus::default()
        };
        sample.update(false, &status);
        assert_eq!(sample.signer, expected);
    };
    check("1", "1", &["ann", "bob"], "ann");
    check("1", "2", &[], "ann");
    check("2", "3", &["eve"], "");
    check("3", "3", &["eve"], "eve");
    check("3", "3", &[], "");
}

#[test]
fn labels_are_bounded_and_their_reasons_of_the_closed_set() {
    assert_eq!(reason(Some("HealthTimeout")), "HealthTimeout");
    assert_eq!(reason(Some("../../etc\"} 1\n")), "other");
    let metrics = leading();
    let hostile = "\u{e9}\"\n".repeat(5000);
    let status = applied(status(&[("Ready", &hostile, &hostile, 1)]), &hostile, &hostile);
    metrics.release_appeared(&id("web"), false, &status);
    let text = metrics.expose().unwrap();
    assert!(text.lines().all(|l| l.len() < 1200), "{text}");
    assert_eq!(series(&metrics).len(), 6, "{text}");
}

/// Long names, a digest, and a signer that is a workflow.
#[test]
fn five_hundred_releases_are_less_than_a_megabyte() {
    let metrics = leading();
    for n in 0..500 {
        let id = ReleaseId {
            namespace: format!("team-payments-and-settlement-production-eu-central-{n:03}"),
            name: format!("payments-reconciliation-worker-with-a-long-name-{n:03}"),
        };
        let revision = format!("2026.11.23-rc.{n}-build.48151623@sha256:{}", "0123456789abcdef".repeat(4));
        let by = "https://github.example/payments/reconciliation-worker/.github/workflows/release.yaml@refs/tags/v2026.11.23-rc.1";
        let status =
            status(&[("Ready", "False", "ServiceAccountNotFound", 1), ("Drifted", "True", "Contested", 1)]);
        let attempted = format!("2026.11.24-rc.{n}-build.48151624@sha256:{}", "0123456789abcdef".repeat(4));
        let status = ReleaseStatus {
            last_attempted_revision: Some(attempted),
            observed_generation: Some(123),
            ..applied(status, &revision, by)
        };
        metrics.release_appeared(&id, false, &status);
        metrics.release_succeeded(&id, at(1_795_000_000));
    }
    // Nothing else is left out.
    for n in 0..60 {
        use super::super::super::labels::{Answer, Method};
        for method in [Method::Head, Method::Get] {
            for code in [200, 307, 401, 404, 500] {
                let host = format!("registry-{n:02}.europe-west4.cloud.example:5000");
                metrics.registry_request(&host, method, Answer::Status(code), std::time::Duration::ZERO);
            }
        }
    }
    for reason in Reason::ALL {
        use super::super::super::labels::RunResult;
        metrics.reconciled(RunResult::Failure(reason.disposition()), *reason);
    }
    let text = metrics.expose().unwrap();
    assert_eq!(series(&metrics).len(), 7 * 500);
    assert!(text.len() < 1_000_000, "{} bytes", text.len());
}
