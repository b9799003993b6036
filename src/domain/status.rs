//! The status of a release, computed whole from the outcome of a run.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::reason::{Disposition, Reason};
use crate::api::release::DriftMode;
use crate::api::status::{
    ArtifactStatus, Failure, HistoryEntry, InventoryStatus, MAX_FAILURES, MAX_HISTORY, MAX_MESSAGE,
    ReleaseStatus, condition,
};

use super::outcome::{Assessment, Outcome, Verdict};
use super::release::Release;

/// The name of a release's inventory.
pub fn inventory_name(release: &str) -> String {
    format!("inv-{release}")
}

/// The status while a run waits: what it waits for, with everything else as it
/// was.
pub fn waiting(previous: &ReleaseStatus, release: &Release, message: &str, now: Timestamp) -> ReleaseStatus {
    let mut status = previous.clone();
    let mut conditions = Conditions::new(previous, release.generation, now);
    conditions.set(condition::READY, None, Reason::Progressing, message);
    conditions.set(condition::RECONCILING, Some(true), Reason::Progressing, message);
    conditions.keep(condition::VERIFIED);
    conditions.keep(condition::HEALTHY);
    conditions.keep(condition::DRIFTED);
    status.conditions = conditions.done;
    status.observed_generation = Some(release.generation);
    status
}

/// The status after a run. `previous` is the one in the cluster. The result
/// equals it when nothing differs, so that nothing needs to be written.
pub fn compute(
    previous: &ReleaseStatus,
    release: &Release,
    outcome: &Outcome,
    now: Timestamp,
) -> ReleaseStatus {
    let mut status = previous.clone();
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
        if outcome.health.as_ref().is_some_and(|h| h.status == Some(true)) {
            status.last_healthy_revision = Some(artifact.revision.clone());
        }
        status.artifact = Some(told(status.artifact.take(), artifact, outcome));
    }
    if let Some(entries) = outcome.entries {
        let entries = i32::try_from(entries).unwrap_or(i32::MAX);
        status.inventory = Some(InventoryStatus { name: inventory_name(&release.id.name), entries });
    }
    if outcome.verdict != Verdict::Suspended {
        set_failures(&mut status, outcome);
    }
    if let Some(changes) = &outcome.changes {
        status.changes = Some(changes.clone());
        remember(&mut status, outcome, now);
    }
    status
}

/// The artifact, as far as the run knows it, and else as it was known.
fn told(known: Option<ArtifactStatus>, artifact: &ArtifactStatus, outcome: &Outcome) -> ArtifactStatus {
    let mut told = artifact.clone();
    if let Some(known) = known.filter(|known| known.digest == artifact.digest) {
        (told.verified_by, told.images) = (known.verified_by, known.images);
        // What a quiet run knows of the artifact is only its revision.
        if artifact.created_at.is_none() && artifact.source.is_none() {
            told.created_at = known.created_at;
            told.source = known.source;
            told.source_revision = known.source_revision;
        }
    }
    if let Some(signers) = &outcome.signers {
        told.verified_by.clone_from(signers);
    }
    if let Some(images) = &outcome.images {
        told.images.clone_from(images);
    }
    told
}

fn set_failures(status: &mut ReleaseStatus, outcome: &Outcome) {
    let failures = outcome.failures.iter().take(MAX_FAILURES).map(|f| Failure {
        object: f.id.to_string(),
        reason: f.reason.to_string(),
        message: bounded(&f.message),
    });
    status.failures = failures.collect();
    let more = outcome.failures.len().saturating_sub(MAX_FAILURES);
    status.more_failures = (more > 0).then(|| i32::try_from(more).unwrap_or(i32::MAX));
}

/// Adds the revision to the history; the run of the revision on top replaces
/// its entry.
fn remember(status: &mut ReleaseStatus, outcome: &Outcome, now: Timestamp) {
    let (Some(artifact), Some(changes)) = (&outcome.artifact, &outcome.changes) else { return };
    let healthy = outcome.health.as_ref().and_then(|h| h.status);
    let entry = HistoryEntry {
        revision: artifact.revision.clone(),
        digest: artifact.digest.clone(),
        applied_at: whole_seconds(now).to_string(),
        outcome: match (outcome.applied, healthy) {
            (false, _) | (true, Some(false)) => "Failed",
            (true, Some(true)) => "Healthy",
            (true, None) => "Applied",
        }
        .to_owned(),
        changes: changes.clone(),
    };
    if status.history.first().is_some_and(|h| h.digest == entry.digest) {
        status.history.remove(0);
    }
    status.history.insert(0, entry);
    status.history.truncate(MAX_HISTORY);
}

fn conditions(
    previous: &ReleaseStatus,
    release: &Release,
    outcome: &Outcome,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = Conditions::new(previous, release.generation, now);
    match &outcome.verdict {
        Verdict::Ready { message } => {
            conditions.set(condition::READY, Some(true), Reason::ReconciliationSucceeded, message);
        }
        Verdict::Failed { reason, message } => {
            conditions.set(condition::READY, Some(false), *reason, message);
            let extra = match reason.disposition() {
                Disposition::Stalled => condition::STALLED,
                Disposition::Retry | Disposition::Wait => condition::RECONCILING,
            };
            conditions.set(extra, Some(true), *reason, message);
        }
        Verdict::Suspended => {
            if !conditions.keep(condition::READY) {
                conditions.set(
                    condition::READY,
                    None,
                    Reason::Suspended,
                    "suspended before anything was applied",
                );
            }
        }
        Verdict::Superseded => return previous.conditions.clone(),
    }
    let beside = [
        (condition::VERIFIED, &outcome.verified, true),
        (condition::HEALTHY, &outcome.health, release.wait),
        (condition::DRIFTED, &outcome.drift, release.drift != DriftMode::Off),
    ];
    for (name, assessment, applies) in beside {
        match assessment {
            Some(Assessment { status, reason, message }) => conditions.set(name, *status, *reason, message),
            None if applies => {
                conditions.keep(name);
            }
            None => {}
        }
    }
    conditions.done
}

/// Conditions under construction: the time of the last transition is that of
/// the previous condition as long as the status is the same.
struct Conditions<'a> {
    previous: &'a ReleaseStatus,
    generation: i64,
    now: Timestamp,
    done: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    fn new(previous: &'a ReleaseStatus, generation: i64, now: Timestamp) -> Self {
        Self { previous, generation, now: whole_seconds(now), done: Vec::new() }
    }

    fn before(&self, name: &str) -> Option<&'a Condition> {
        self.previous.conditions.iter().find(|c| c.type_ == name)
    }

    fn set(&mut self, name: &str, status: Option<bool>, reason: Reason, message: &str) {
        let status = match status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let since = self.before(name).filter(|c| c.status == status).map(|c| c.last_transition_time.0);
        self.done.push(Condition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: reason.to_string(),
            message: bounded(message),
            observed_generation: Some(self.generation),
            last_transition_time: Time(since.unwrap_or(self.now)),
        });
    }

    /// Keeps a condition as it was; says whether there was one.
    fn keep(&mut self, name: &str) -> bool {
        let before = self.before(name).cloned();
        let found = before.is_some();
        self.done.extend(before.map(|c| Condition { observed_generation: Some(self.generation), ..c }));
        found
    }
}

/// Timestamps of the API have whole seconds.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Cuts a message at [`MAX_MESSAGE`] bytes, on a character's boundary.
pub fn bounded(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE - 4;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{ArtifactStatus, Changes};
    use crate::domain::identity::ObjectId;
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
        check(Verdict::Suspended, &["Ready=Unknown Suspended"]);
        let waiting = waiting(&ReleaseStatus::default(), &release(), "m", at(1));
        assert_eq!(shown(&waiting), ["Ready=Unknown Progressing", "Reconciling=True Progressing"]);
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
        let suspended = Outcome { verdict: Verdict::Suspended, ..Outcome::default() };
        assert_eq!(compute(&first, &release(), &suspended, at(99)), first);
        assert_eq!(compute(&first, &release(), &Outcome::default(), at(99)), first);
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
}
