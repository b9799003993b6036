//! The status of a release, computed whole from the outcome of a run.

mod bounds;
mod conditions;
mod history;
mod plan;
mod quarantine;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub use self::bounds::{bounded, whole_seconds};
use self::conditions::{Conditions, conditions};
pub use self::history::FAILED;
use self::history::{HistoryInput, remember};
pub use self::plan::{awaited_objects, plan_after};
use self::quarantine::quarantine;
use super::artifact::digest::shortened;
use super::outcome::{Arrival, Assessment, ObjectFailure, Outcome, Verdict};
use super::release::Release;
use super::release::dependency::WaitedFor;
use super::verdict::{FailureClass, classify};
use crate::api::dependency::DependencyStatus;
use crate::api::reason::Reason;
use crate::api::status::{ArtifactStatus, Failure, InventoryStatus, MAX_FAILURES, ReleaseStatus, condition};

/// The name of a release's inventory.
pub fn inventory_name(release: &str) -> String {
    format!("inv-{release}")
}

/// The status while a run waits: what it waits for, and everything else unchanged. `revision` is the
/// one that the run rolls out, once it is known and waits for no dependency any more: while a failed
/// revision is retried, its failure remains visible.
pub fn waiting(
    previous: &ReleaseStatus,
    release: &Release,
    revision: Option<&str>,
    message: &str,
    now: Timestamp,
) -> ReleaseStatus {
    let mut status = previous.clone();
    let mut conditions = Conditions::new(previous, release.generation, now);
    let ready = conditions.before(condition::READY).map(|c| c.reason.as_str());
    let has_waited = [Reason::DependencyNotReady, Reason::ApprovalRequired].map(Reason::as_str);
    let goes_on = revision.is_some() && ready.is_some_and(|reason| has_waited.contains(&reason));
    status.dependencies.retain(|_| !goes_on);
    if let Some(pending) =
        status.pending.as_mut().filter(|pending| Some(pending.revision.as_str()) == revision)
    {
        // It has passed what held it back.
        (pending.reason, pending.opens_at) = (String::new(), None);
    }
    let same = revision.is_some() && previous.last_attempted_revision.as_deref() == revision && !goes_on;
    let failed = |c: &&Condition| c.status == "False" && c.observed_generation == Some(release.generation);
    let retries = |name: &str| same && conditions.before(name).filter(failed).is_some();
    let (ready_stays, health_stays) = (retries(condition::READY), retries(condition::HEALTHY));
    if !(ready_stays && conditions.keep(condition::READY)) {
        conditions.set(condition::READY, None, Reason::Progressing, message);
    }
    conditions.set(condition::RECONCILING, Some(true), Reason::Progressing, message);
    conditions.keep(condition::VERIFIED);
    match revision.is_some() && release.awaits_health() && !health_stays {
        // The previous answer is about another revision.
        true => conditions.set(condition::HEALTHY, None, Reason::Progressing, message),
        false => drop(conditions.keep(condition::HEALTHY)),
    }
    conditions.keep(condition::DRIFTED);
    conditions.keep(condition::FETCH_FAILED);
    status.conditions = conditions.done;
    status.observed_generation = Some(release.generation);
    status
}

/// The status when only the health of the applied objects was checked again.
/// `ready` is the message of Ready from before an object became unhealthy.
pub fn observe(
    previous: &ReleaseStatus,
    release: &Release,
    health: &Assessment,
    unhealthy: &[ObjectFailure],
    ready: &str,
    now: Timestamp,
) -> ReleaseStatus {
    let mut status = previous.clone();
    let mut conditions = Conditions::new(previous, release.generation, now);
    let is_ready = conditions.before(condition::READY).is_some_and(|c| c.status == "True");
    let is_unhealthy =
        conditions.before(condition::READY).is_some_and(|c| c.reason == Reason::Unhealthy.as_str());
    match health.status {
        Some(false) if is_ready || is_unhealthy => {
            conditions.set(condition::READY, Some(false), health.reason, &health.message);
            conditions.set(condition::RECONCILING, Some(true), health.reason, &health.message);
            set_failures(&mut status, unhealthy);
        }
        _ if is_unhealthy => {
            conditions.set(condition::READY, Some(true), Reason::ReconciliationSucceeded, ready);
            set_failures(&mut status, &[]);
        }
        _ => {
            for name in [condition::READY, condition::RECONCILING, condition::STALLED] {
                conditions.keep(name);
            }
        }
    }
    conditions.keep(condition::VERIFIED);
    // It is about the applied objects, which may be older than the spec.
    let generation = conditions.before(condition::HEALTHY).and_then(|c| c.observed_generation);
    conditions.generation = generation.unwrap_or(release.generation);
    conditions.set(condition::HEALTHY, health.status, health.reason, &health.message);
    conditions.keep(condition::DRIFTED);
    conditions.keep(condition::FETCH_FAILED);
    status.conditions = conditions.done;
    status
}

/// The status after a run. `previous` is the one in the cluster. The result
/// equals it when nothing changed, so that nothing needs to be written.
pub fn compute(
    previous: &ReleaseStatus,
    release: &Release,
    outcome: &Outcome,
    now: Timestamp,
) -> ReleaseStatus {
    let mut status = previous.clone();
    if outcome.verdict == Verdict::AsBefore {
        // Only the drift of the objects is new.
        let mut conditions = Conditions::new(previous, release.generation, now);
        let Some(Assessment { status: drifted, reason, message }) = &outcome.drift else { return status };
        let generation = conditions.before(condition::DRIFTED).and_then(|c| c.observed_generation);
        conditions.generation = generation.unwrap_or(release.generation);
        for condition in &previous.conditions {
            match condition.type_ == condition::DRIFTED {
                true => conditions.set(condition::DRIFTED, *drifted, *reason, message),
                false => drop(conditions.keep(&condition.type_)),
            }
        }
        status.conditions = conditions.done;
        return status;
    }
    if let Some(cluster) = &outcome.cluster {
        status.cluster.clone_from(cluster);
    }
    if outcome.verdict == Verdict::Superseded {
        return status;
    }
    status.observed_generation = Some(release.generation);
    status.conditions = conditions(previous, release, outcome, now);
    if release.reconcile_at.is_some() {
        status.last_handled_reconcile_at.clone_from(&release.reconcile_at);
    }
    if let Some(artifact) = &outcome.artifact {
        status.last_attempted_revision = Some(artifact.revision.clone());
        if outcome.applied {
            status.last_applied_revision = Some(artifact.revision.clone());
        }
        let is_healthy = outcome.health.as_ref().is_some_and(|h| h.status == Some(true));
        // A step may fail after all objects were healthy.
        if is_healthy && classify(outcome) != FailureClass::Bad {
            status.last_healthy_revision = Some(artifact.revision.clone());
        }
        status.artifact = Some(updated(status.artifact.take(), artifact, outcome));
    }
    match (&outcome.dependencies, &outcome.verdict) {
        (Some(found), _) => {
            let entry = |waited: &WaitedFor| DependencyStatus {
                message: bounded(&waited.words),
                ..waited.reported(&previous.dependencies, whole_seconds(now))
            };
            status.dependencies = found.iter().map(entry).collect();
        }
        (None, Verdict::Suspended | Verdict::Failed { reason: Reason::DependencyCycle, .. })
        | (None, Verdict::Failed { reason: Reason::DependencyNotAllowed, .. }) => {
            status.dependencies = Vec::new();
        }
        (None, _) => {}
    }
    match &outcome.arrival {
        Arrival::Unasked => {}
        Arrival::Pending(pending) if !outcome.applied => status.pending = Some(pending.clone()),
        Arrival::Pending(_) | Arrival::Settled => status.pending = None,
    }
    status.held_revision.clone_from(&outcome.held);
    status.plan = plan_after(previous.plan.as_ref(), &release.approval, outcome);
    status.short_revision = status.last_applied_revision.as_deref().map(shortened);
    if let Some(entries) = outcome.entries {
        let entries = i32::try_from(entries).unwrap_or(i32::MAX);
        status.inventory = Some(InventoryStatus { name: inventory_name(&release.id.name), entries });
    }
    if replaces_failures(outcome) {
        set_failures(&mut status, &outcome.failures);
        if outcome.way_back.is_some() {
            // Those of the revision that has failed remain.
            let earlier = previous.failures.iter().filter(|f| !status.failures.contains(f)).cloned();
            let earlier: Vec<Failure> = earlier.take(MAX_FAILURES - status.failures.len()).collect();
            status.failures.extend(earlier);
        }
    }
    if let Some(changes) = &outcome.changes {
        // A retry that writes nothing does not replace the changes.
        let attempted = previous.last_attempted_revision == status.last_attempted_revision;
        if changes.wrote() || status.changes.is_none() || !attempted {
            status.changes = Some(changes.clone());
        }
    }
    remember(&mut status, HistoryInput { previous, release, outcome, now });
    quarantine(&mut status, previous, release, outcome, now);
    status
}

/// Whether the failures are those of the outcome. After a way back, those of the revision that has
/// failed remain, unless the way back fails, too.
fn replaces_failures(outcome: &Outcome) -> bool {
    match (&outcome.verdict, &outcome.way_back) {
        (Verdict::Suspended, _)
        | (Verdict::Failed { reason: Reason::RolledBack | Reason::Frozen, .. }, _) => false,
        (Verdict::Failed { .. }, Some(_)) => {
            matches!(classify(outcome), FailureClass::Bad | FailureClass::Refusal)
        }
        _ => true,
    }
}

/// The artifact, with what the run knows about it, and the previous values otherwise.
fn updated(known: Option<ArtifactStatus>, artifact: &ArtifactStatus, outcome: &Outcome) -> ArtifactStatus {
    let mut updated = artifact.clone();
    if let Some(known) = known.filter(|known| known.digest == artifact.digest) {
        (updated.verified_by, updated.images) = (known.verified_by, known.images);
        // A no-op run knows only the revision of the artifact.
        if artifact.created_at.is_none() && artifact.source.is_none() {
            updated.created_at = known.created_at;
            updated.source = known.source;
            updated.source_revision = known.source_revision;
        }
    }
    if let Some(signers) = &outcome.signers {
        updated.verified_by.clone_from(signers);
    }
    if let Some(images) = &outcome.images {
        updated.images.clone_from(images);
    }
    updated
}

fn set_failures(status: &mut ReleaseStatus, found: &[ObjectFailure]) {
    let failures = found.iter().take(MAX_FAILURES).map(|f| Failure {
        object: f.id.to_string(),
        reason: f.reason.to_string(),
        message: bounded(&f.message),
    });
    status.failures = failures.collect();
    let more = found.len().saturating_sub(MAX_FAILURES);
    status.more_failures = (more > 0).then(|| i32::try_from(more).unwrap_or(i32::MAX));
}

#[cfg(test)]
mod tests {
    use super::super::objects::identity::ObjectId;
    use super::*;
    use crate::api::status::{ArtifactStatus, Changes, MAX_MESSAGE};
    use crate::domain::outcome::ObjectFailure;
    use serde_json::json;

    fn release() -> Release {
        let resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "web", "namespace": "apps", "generation": 3},
            "spec": {"url": "oci://registry.example/app", "prune": true, "wait": true},
        });
        Release::parse(&serde_json::from_value(resource).unwrap()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(digest: &str) -> Outcome {
        Outcome {
            verdict: Verdict::Ready { message: "applied".into() },
            artifact: Some(ArtifactStatus {
                revision: format!("1.0@{digest}"),
                digest: digest.into(),
                created_at: Some("then".into()),
                ..ArtifactStatus::default()
            }),
            changes: Some(Changes { created: 1, ..Changes::default() }),
            entries: Some(1),
            applied: true,
            rollout: true,
            ..Outcome::default()
        }
    }

    fn shown(status: &ReleaseStatus) -> Vec<String> {
        status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect()
    }

    #[test]
    fn conditions_satisfy_kstatus() {
        let check = |verdict: Verdict, expected: &[&str]| {
            let outcome = Outcome { verdict, ..Outcome::default() };
            let status = compute(&ReleaseStatus::default(), &release(), &outcome, at(1));
            assert_eq!(shown(&status), expected);
            assert_eq!(status.observed_generation, Some(3));
        };
        check(Verdict::Ready { message: "m".into() }, &["Ready=True ReconciliationSucceeded"]);
        check(
            Verdict::Failed { reason: Reason::RegistryUnavailable, message: "m".into() },
            &["Ready=False RegistryUnavailable", "Reconciling=True RegistryUnavailable"],
        );
        check(
            Verdict::Failed { reason: Reason::ManifestInvalid, message: "m".into() },
            &["Ready=False ManifestInvalid", "Stalled=True ManifestInvalid"],
        );
        let waits = waiting(&ReleaseStatus::default(), &release(), None, "m", at(1));
        assert_eq!(shown(&waits), ["Ready=Unknown Progressing", "Reconciling=True Progressing"]);
        let waits = waiting(&ReleaseStatus::default(), &release(), Some("1"), "m", at(1));
        assert_eq!(shown(&waits)[2..], ["Healthy=Unknown Progressing"]);
    }

    fn newer() -> Release {
        let mut newer = release();
        newer.generation = 4;
        newer
    }

    fn generations(status: &ReleaseStatus) -> Vec<(&str, Option<i64>)> {
        status.conditions.iter().map(|c| (c.type_.as_str(), c.observed_generation)).collect()
    }

    fn healthy(digest: &str) -> Outcome {
        let assessment = |status, reason| Some(Assessment { status, reason, message: "m".into() });
        Outcome {
            health: assessment(Some(true), Reason::Healthy),
            drift: assessment(Some(false), Reason::InSync),
            ..ready(digest)
        }
    }

    #[test]
    fn a_condition_that_is_kept_is_about_the_generation_that_it_was_about() {
        let first = compute(&ReleaseStatus::default(), &release(), &healthy("sha256:a"), at(1));
        let newer = newer();
        let failed = Outcome::failed(Reason::ArtifactNotFound, "m");
        let second = compute(&first, &newer, &failed, at(2));
        let expected =
            [("Ready", Some(4)), ("Reconciling", Some(4)), ("Healthy", Some(3)), ("Drifted", Some(3))];
        assert_eq!(generations(&second), expected);
        assert_eq!(generations(&waiting(&first, &newer, None, "m", at(2))), expected);
        // A rollout in progress does not inherit the health of the previous one.
        let waits = waiting(&first, &newer, Some("2@sha256:b"), "m", at(2));
        assert_eq!(shown(&waits)[2], "Healthy=Unknown Progressing");
    }

    #[test]
    fn what_failed_is_read_until_the_retry_is_over() {
        let bad = |reason| Some(Assessment { status: Some(false), reason, message: "m".into() });
        let failed = Outcome {
            verdict: Verdict::Failed { reason: Reason::HealthTimeout, message: "m".into() },
            health: bad(Reason::HealthTimeout),
            ..ready("sha256:a")
        };
        let first = compute(&ReleaseStatus::default(), &release(), &failed, at(1));
        let check = |release: &Release, revision: Option<&str>, expected: &[&str]| {
            assert_eq!(shown(&waiting(&first, release, revision, "m", at(2))), expected, "{revision:?}");
        };
        let kept =
            ["Ready=False HealthTimeout", "Reconciling=True Progressing", "Healthy=False HealthTimeout"];
        let anew =
            ["Ready=Unknown Progressing", "Reconciling=True Progressing", "Healthy=Unknown Progressing"];
        check(&release(), Some("1.0@sha256:a"), &kept);
        check(&release(), Some("1.1@sha256:b"), &anew);
        check(&newer(), Some("1.0@sha256:a"), &anew);
    }

    #[test]
    fn what_is_rolled_out_does_not_wait_for_dependencies_any_more() {
        let id = ObjectId::from_inventory_id("team_db_supercargo.dev_OCIArtifactRelease").unwrap();
        let db =
            WaitedFor { id, api_version: "supercargo.dev/v1alpha1".into(), words: "is not ready".into() };
        let waits = Outcome {
            verdict: Verdict::Waiting { reason: Reason::DependencyNotReady, message: "m".into() },
            dependencies: Some(vec![db]),
            ..ready("sha256:a")
        };
        let first = compute(&ReleaseStatus::default(), &release(), &waits, at(1));
        let check = |revision: Option<&str>, ready: &str, dependencies: usize| {
            let status = waiting(&first, &release(), revision, "m", at(2));
            assert_eq!((shown(&status)[0].as_str(), status.dependencies.len()), (ready, dependencies));
        };
        check(Some("1.0@sha256:a"), "Ready=Unknown Progressing", 0);
        check(None, "Ready=Unknown Progressing", 1);
    }

    #[test]
    fn suspended_nothing_is_said_that_nobody_looks_at() {
        let suspended = Outcome { verdict: Verdict::Suspended, ..Outcome::default() };
        let mut asleep = release();
        asleep.suspend = true;
        let check = |before: &ReleaseStatus, outcome: &Outcome, expected: &[&str]| {
            assert_eq!(shown(&compute(before, &asleep, outcome, at(9))), expected);
        };
        let unknown = ["Healthy=Unknown Suspended", "Drifted=Unknown Suspended"];
        check(&ReleaseStatus::default(), &suspended, &["Ready=Unknown Suspended", unknown[0], unknown[1]]);
        let first = compute(&ReleaseStatus::default(), &release(), &healthy("sha256:a"), at(1));
        let still = ["Ready=True ReconciliationSucceeded", unknown[0], unknown[1]];
        check(&first, &suspended, &still);
        check(&first, &healthy("sha256:a"), &still);
        let waits = waiting(&first, &release(), Some("2"), "m", at(2));
        check(&waits, &suspended, &["Ready=Unknown Suspended", unknown[0], unknown[1]]);
    }

    #[test]
    fn health_after_ready_goes_and_comes_back() {
        let first = compute(&ReleaseStatus::default(), &release(), &healthy("sha256:a"), at(1));
        let look = |before: &ReleaseStatus, status: bool| {
            let reason = if status { Reason::Healthy } else { Reason::Unhealthy };
            let message = if status { "m" } else { "gone" }.to_owned();
            let id = ObjectId::from_inventory_id("a_x__Pod").unwrap();
            let found = vec![ObjectFailure { id, reason, message: message.clone() }];
            let found = if status { Vec::new() } else { found };
            let health = Assessment { status: Some(status), reason, message };
            observe(before, &release(), &health, &found, "applied", at(5))
        };
        assert_eq!(look(&first, true), first);
        let ill = look(&first, false);
        let expected = [
            "Ready=False Unhealthy",
            "Reconciling=True Unhealthy",
            "Healthy=False Unhealthy",
            "Drifted=False InSync",
        ];
        assert_eq!(shown(&ill), expected);
        assert_eq!(ill.failures.len(), 1);
        let well = look(&ill, true);
        assert_eq!((shown(&well), well.failures.len()), (shown(&first), 0));
        assert_eq!(well.conditions[0].message, "applied");
        // A failure for another reason remains, and the health of the applied objects is
        // about the spec that they were applied for.
        let newer = newer();
        let refused = compute(&first, &newer, &Outcome::failed(Reason::PreflightFailed, "m"), at(2));
        let ill = look(&refused, false);
        assert_eq!(shown(&ill)[0], "Ready=False PreflightFailed");
        assert_eq!(generations(&ill)[2], ("Healthy", Some(3)));
    }

    #[test]
    fn a_retry_that_writes_nothing_is_no_news() {
        let run = |outcome: &Outcome, before: &ReleaseStatus, now: i64| {
            compute(before, &release(), outcome, at(now))
        };
        let rollout =
            |outcome: Outcome, changes: Changes| Outcome { rollout: true, changes: Some(changes), ..outcome };
        let held = Changes { unchanged: 1, ..Changes::default() };
        let first = run(
            &rollout(ready("sha256:a"), Changes { created: 2, ..held.clone() }),
            &ReleaseStatus::default(),
            1,
        );
        assert_eq!(run(&rollout(ready("sha256:a"), held.clone()), &first, 9), first);
        // A correction of drift counts, and is not a rollout.
        let put_back = Outcome {
            rollout: false,
            changes: Some(Changes { configured: 1, ..held.clone() }),
            ..ready("sha256:a")
        };
        let corrected = run(&put_back, &first, 9);
        assert_eq!((&corrected.history, corrected.changes.unwrap().configured), (&first.history, 1));
        // A rollout that fails and then succeeds is one entry, with all its writes.
        let bad = Assessment { status: Some(false), reason: Reason::HealthTimeout, message: "m".into() };
        let failed = Outcome {
            verdict: Verdict::Failed { reason: Reason::HealthTimeout, message: "m".into() },
            health: Some(bad),
            ..ready("sha256:b")
        };
        let second = run(&rollout(failed.clone(), Changes { created: 3, ..held.clone() }), &first, 20);
        assert_eq!((second.history.len(), second.history[0].outcome.as_str()), (2, "Failed"));
        assert_eq!(run(&rollout(failed, held.clone()), &second, 30), second);
        let third = run(&rollout(healthy("sha256:b"), held), &second, 40);
        assert_eq!((third.history.len(), third.history[0].outcome.as_str()), (2, "Healthy"));
        assert_eq!(third.history[0].changes.created, 3);
        assert_eq!(third.history[0].applied_at, second.history[0].applied_at);
    }

    #[test]
    fn a_run_that_changes_nothing_leaves_the_status_as_it_is() {
        let first = compute(&ReleaseStatus::default(), &release(), &ready("sha256:a"), at(10));
        let quiet = Outcome {
            changes: None,
            artifact: Some(ArtifactStatus {
                revision: "1.0@sha256:a".into(),
                digest: "sha256:a".into(),
                ..ArtifactStatus::default()
            }),
            ..ready("sha256:a")
        };
        assert_eq!(compute(&first, &release(), &quiet, at(99)), first);
        assert_eq!(compute(&first, &release(), &Outcome::default(), at(99)), first);
        let as_before = Outcome { verdict: Verdict::AsBefore, ..Outcome::default() };
        assert_eq!(compute(&first, &release(), &as_before, at(99)), first);
    }

    #[test]
    fn a_failed_revision_is_attempted_and_not_applied() {
        let first = compute(&ReleaseStatus::default(), &release(), &ready("sha256:a"), at(10));
        let failures = (0..25).map(|n| ObjectFailure {
            id: ObjectId::from_inventory_id(&format!("a_x{n}__ConfigMap")).unwrap(),
            reason: Reason::PreflightFailed,
            message: "refused".into(),
        });
        let failed = Outcome {
            verdict: Verdict::Failed { reason: Reason::PreflightFailed, message: "m".into() },
            failures: failures.collect(),
            changes: None,
            applied: false,
            ..ready("sha256:b")
        };
        let second = compute(&first, &release(), &failed, at(20));
        assert_eq!(second.last_applied_revision.as_deref(), Some("1.0@sha256:a"));
        assert_eq!(second.last_attempted_revision.as_deref(), Some("1.0@sha256:b"));
        assert_eq!((second.failures.len(), second.more_failures), (MAX_FAILURES, Some(5)));
        let third = compute(&second, &release(), &ready("sha256:b"), at(30));
        assert_eq!((third.failures.len(), third.more_failures), (0, None));
        assert_eq!(third.history.len(), 2);
        assert_eq!(third.history[0].outcome, "Applied");
    }

    #[test]
    fn long_messages_are_cut_on_a_boundary() {
        let cut = bounded(&"é".repeat(MAX_MESSAGE));
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with(" ..."));
    }

    #[test]
    fn an_approved_revision_is_in_the_history_also_if_the_process_ended_before_the_status() {
        let check = |key: &str, applied: bool, expected: usize| {
            let approved = crate::api::plan::PlanApproval { key: key.into(), ..Default::default() };
            let plan = crate::api::plan::PlanStatus { approved: Some(approved), ..Default::default() };
            let previous = ReleaseStatus { plan: Some(plan), ..ReleaseStatus::default() };
            let outcome = Outcome { rollout: false, changes: None, applied, ..ready("sha256:a") };
            let status = compute(&previous, &release(), &outcome, at(1));
            assert_eq!(status.history.len(), expected);
            assert_eq!(compute(&status, &release(), &outcome, at(2)).history, status.history);
        };
        check(&release().applied_key("sha256:a"), true, 1);
        check(&release().applied_key("sha256:a"), false, 0);
        check("other", true, 0);
    }
}
