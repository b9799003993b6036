//! The revisions of a release that have failed and are not applied any more.

use jiff::Timestamp;

use super::bounds::{bounded, whole_seconds};
use super::history::HEALTHY;
use crate::api::release::RollbackMode;
use crate::api::rollback::{MAX_QUARANTINE, QuarantineEntry};
use crate::api::status::{ArtifactStatus, HistoryEntry, ReleaseStatus};
use crate::api::step::StepPhase;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::release::Release;
use crate::domain::verdict::{FailureClass, classify};

/// The longest message of an entry, in bytes.
const MAX_CAUSE: usize = 512;

/// Updates the quarantine after a run. It is part of the same status as the failure: a process that
/// is killed has either not judged the revision yet, or knows the verdict.
pub fn quarantine(
    status: &mut ReleaseStatus,
    previous: &ReleaseStatus,
    release: &Release,
    outcome: &Outcome,
    now: Timestamp,
) {
    let Some(artifact) = &outcome.artifact else { return };
    if release.rollback == RollbackMode::Off {
        status.quarantine.clear();
        return;
    }
    let class = classify(outcome);
    if let Some(failed) = &outcome.way_back {
        let Verdict::Failed { reason, message } = &outcome.verdict else { return };
        let is_over = matches!(class, FailureClass::Bad | FailureClass::Refusal);
        if let Some(entry) = status.quarantine.iter_mut().find(|entry| entry.key == *failed && is_over) {
            // One way back for one verdict.
            let how = if class == FailureClass::Bad { "has failed, too" } else { "is refused" };
            let why = format!("going back to {} {how} ({reason}: {message})", artifact.revision);
            entry.frozen.get_or_insert(brief(&why));
        }
        return;
    }
    let key = release.applied_key(&artifact.digest);
    let is_tried = release.retries(&artifact.digest, previous.last_handled_retry.as_deref());
    match (class, &outcome.verdict) {
        (FailureClass::Bad, Verdict::Failed { reason, message }) if outcome.rollout => {
            let Some((back_to, frozen)) = sentence(previous, release, artifact, &key) else { return };
            let entry = QuarantineEntry {
                revision: artifact.revision.clone(),
                digest: artifact.digest.clone(),
                reason: reason.to_string(),
                message: brief(message),
                since: whole_seconds(now).to_string(),
                key,
                back_to,
                frozen,
            };
            status.quarantine.retain(|known| known.key != entry.key);
            status.quarantine.insert(0, entry);
            status.quarantine.truncate(MAX_QUARANTINE);
        }
        // The reference has moved on: who names an earlier one again wants it.
        (_, Verdict::Ready { .. })
            if outcome.held.is_none() && outcome.fetch_failed.is_none() && release.pin.is_none() =>
        {
            status.quarantine.clear();
        }
        (_, Verdict::Ready { .. }) => status.quarantine.retain(|known| known.key != key),
        _ => return,
    }
    if is_tried {
        status.last_handled_retry.clone_from(&release.retry);
    }
}

/// What follows for a revision that has failed: the revision to go back to, or why nothing is
/// written any more. `None` when it is retried.
fn sentence(
    previous: &ReleaseStatus,
    release: &Release,
    artifact: &ArtifactStatus,
    key: &str,
) -> Option<(Option<String>, Option<String>)> {
    let healthy = previous.history.iter().find(|entry| entry.outcome == HEALTHY);
    // It was healthy, and is not any more.
    if healthy.is_some_and(|last| is_same(last, &artifact.digest, key)) {
        return None;
    }
    let frozen = |why: String| Some((None, Some(why)));
    if release.rollback == RollbackMode::Freeze {
        return frozen("spec.rollback.mode is Freeze".to_owned());
    }
    // Without an earlier revision, nothing is lost by trying again.
    let last = healthy?;
    let is_side_effect =
        |phase: StepPhase, of: &str, marked: bool| phase == StepPhase::Before && of == key && marked;
    let step = previous.steps.iter().find(|step| is_side_effect(step.phase, &step.key, step.side_effects));
    let elsewhere = last.source.as_deref().is_some_and(|source| source != release.repository());
    let quarantined = |entry: &QuarantineEntry| entry.key == release.applied_key(&last.digest);
    match () {
        () if last.digest == artifact.digest => frozen(
            "the artifact was healthy before the spec or a value changed, so that there is none to go back to"
                .to_owned(),
        ),
        () if elsewhere => {
            frozen(format!("the last healthy revision {} is of another repository", last.revision))
        }
        () if previous.quarantine.iter().any(quarantined) => {
            frozen(format!("the last healthy revision {} has failed with this spec, too", last.revision))
        }
        () => match step {
            Some(step) => frozen(format!("its step {} has run, which has side effects", step.step)),
            None => Some((Some(last.revision.clone()), None)),
        },
    }
}

/// Whether an entry of the history is about this digest with these inputs. Older entries have no key.
fn is_same(entry: &HistoryEntry, digest: &str, key: &str) -> bool {
    match &entry.key {
        Some(known) => known == key,
        None => entry.digest == digest,
    }
}

/// The beginning of a message.
fn brief(message: &str) -> String {
    let message = bounded(message);
    if message.len() <= MAX_CAUSE {
        return message;
    }
    let mut end = MAX_CAUSE - 4;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &message[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::reason::Reason;
    use crate::api::status::Changes;
    use crate::api::step::StepStatus;
    use crate::domain::release::PinnedRevision;

    fn release(mode: &str, namespace: &str) -> Release {
        let resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "web", "namespace": "apps", "generation": 3},
            "spec": {"url": "oci://r.io/app", "prune": true, "wait": true, "targetNamespace": namespace,
                     "rollback": {"mode": mode}},
        });
        Release::parse(&serde_json::from_value(resource).unwrap()).unwrap()
    }

    fn failed(digest: &str, reason: Reason) -> Outcome {
        let (revision, digest) = (format!("1@{digest}"), digest.to_owned());
        Outcome {
            artifact: Some(ArtifactStatus { revision, digest, ..ArtifactStatus::default() }),
            changes: Some(Changes::default()),
            rollout: true,
            ..Outcome::failed(reason, "why")
        }
    }

    fn healthy(release: &Release, digest: &str) -> HistoryEntry {
        HistoryEntry {
            revision: format!("1@{digest}"),
            digest: digest.to_owned(),
            outcome: HEALTHY.to_owned(),
            source: Some("r.io/app".to_owned()),
            key: Some(release.applied_key(digest)),
            ..HistoryEntry::default()
        }
    }

    /// The quarantine after a run: digest, `backTo` and `frozen` of each entry.
    fn after(previous: &ReleaseStatus, release: &Release, outcome: &Outcome) -> ReleaseStatus {
        let mut status = previous.clone();
        quarantine(&mut status, previous, release, outcome, Timestamp::UNIX_EPOCH);
        status
    }

    fn shown(status: &ReleaseStatus) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let entries = status.quarantine.iter();
        entries.map(|e| format!("{} -> {}|{}", e.revision, text(&e.back_to), text(&e.frozen))).collect()
    }

    fn known(release: &Release) -> ReleaseStatus {
        ReleaseStatus { history: vec![healthy(release, "a")], ..ReleaseStatus::default() }
    }

    #[test]
    fn a_verdict_puts_the_revision_into_quarantine() {
        let release = self::release("OnFailure", "x");
        let check = |previous: &ReleaseStatus, release: &Release, outcome: Outcome, expected: &[&str]| {
            assert_eq!(shown(&after(previous, release, &outcome)), expected, "{outcome:?}");
        };
        let known = self::known(&release);
        check(&known, &release, failed("b", Reason::HealthTimeout), &["1@b -> 1@a|"]);
        check(&known, &release, failed("b", Reason::StepFailed), &["1@b -> 1@a|"]);
        check(&known, &release, failed("b", Reason::RegistryUnavailable), &[]);
        check(&known, &release, failed("b", Reason::ManifestInvalid), &[]);
        // It was healthy, or there was never another one.
        check(&known, &release, failed("a", Reason::HealthTimeout), &[]);
        check(&ReleaseStatus::default(), &release, failed("b", Reason::HealthTimeout), &[]);
        let off = self::release("Off", "x");
        check(&self::known(&off), &off, failed("b", Reason::HealthTimeout), &[]);
        let freeze = self::release("Freeze", "x");
        check(
            &self::known(&freeze),
            &freeze,
            failed("b", Reason::HealthTimeout),
            &["1@b -> |spec.rollback.mode is Freeze"],
        );
        // The artifact is the same, and only the spec has changed.
        let changed = self::release("OnFailure", "y");
        check(
            &known,
            &changed,
            failed("a", Reason::HealthTimeout),
            &[
                "1@a -> |the artifact was healthy before the spec or a value changed, so that there is none to go back to",
            ],
        );
        let mut moved = known.clone();
        moved.history[0].source = Some("r.io/other".to_owned());
        let elsewhere = "1@b -> |the last healthy revision 1@a is of another repository";
        check(&moved, &release, failed("b", Reason::HealthTimeout), &[elsewhere]);
        let mut stepped = known.clone();
        stepped.steps = vec![StepStatus {
            step: "Job/apps/migrate".into(),
            key: release.applied_key("b"),
            side_effects: true,
            ..StepStatus::default()
        }];
        let effects = "1@b -> |its step Job/apps/migrate has run, which has side effects";
        check(&stepped, &release, failed("b", Reason::HealthTimeout), &[effects]);
        // That of another revision does not count.
        stepped.steps[0].key = release.applied_key("a");
        check(&stepped, &release, failed("b", Reason::HealthTimeout), &["1@b -> 1@a|"]);
    }

    #[test]
    fn one_way_back_for_one_verdict() {
        let release = release("OnFailure", "x");
        let first = after(&known(&release), &release, &failed("b", Reason::HealthTimeout));
        let back = |reason| Outcome { way_back: Some(release.applied_key("b")), ..failed("a", reason) };
        let check = |reason, expected: &str| {
            assert_eq!(shown(&after(&first, &release, &back(reason))), [expected], "{reason}");
        };
        check(Reason::RegistryUnavailable, "1@b -> 1@a|");
        check(Reason::RolledBack, "1@b -> 1@a|");
        check(Reason::HealthTimeout, "1@b -> 1@a|going back to 1@a has failed, too (HealthTimeout: why)");
        let refused = Outcome { changes: None, ..back(Reason::PreflightFailed) };
        let expected = "1@b -> 1@a|going back to 1@a is refused (PreflightFailed: why)";
        assert_eq!(shown(&after(&first, &release, &refused)), [expected]);
        // The next revision that fails goes back to the same one, and both are remembered.
        let second = after(&first, &release, &failed("c", Reason::HealthTimeout));
        assert_eq!(shown(&second), ["1@c -> 1@a|", "1@b -> 1@a|"]);
    }

    #[test]
    fn a_person_may_ask_for_one_more_try() {
        let mut release = release("OnFailure", "x");
        let first = after(&known(&release), &release, &failed("b", Reason::HealthTimeout));
        release.retry = Some("b@now".to_owned());
        assert!(release.retries("b", first.last_handled_retry.as_deref()));
        let again = after(&first, &release, &failed("b", Reason::HealthCheckFailed));
        assert_eq!(shown(&again), ["1@b -> 1@a|"]);
        assert_eq!(again.quarantine[0].reason, "HealthCheckFailed");
        assert!(!release.retries("b", again.last_handled_retry.as_deref()));
        // What the environment interrupts is tried until there is a verdict.
        let away = after(&first, &release, &failed("b", Reason::ApiServerUnavailable));
        assert!(release.retries("b", away.last_handled_retry.as_deref()));
        let ready =
            Outcome { verdict: Verdict::Ready { message: "m".into() }, ..failed("b", Reason::HealthTimeout) };
        let well = after(&first, &release, &ready);
        assert_eq!(shown(&well), [""; 0]);
        assert_eq!(well.last_handled_retry.as_deref(), Some("b@now"));

        // Another revision is ready: the quarantine ends, unless that one is only kept or pinned.
        let other = |held: Option<&str>| Outcome {
            verdict: Verdict::Ready { message: "m".into() },
            held: held.map(str::to_owned),
            ..failed("c", Reason::HealthTimeout)
        };
        assert_eq!(shown(&after(&first, &release, &other(None))), [""; 0]);
        assert_eq!(shown(&after(&first, &release, &other(Some("1@b")))).len(), 1);
        let mut pinned = release.clone();
        pinned.pin = Some(PinnedRevision { name: "1@c".to_owned(), digest: "c".to_owned(), reason: None });
        assert_eq!(shown(&after(&first, &pinned, &other(None))).len(), 1);
    }

    #[test]
    fn the_quarantine_is_bounded() {
        let release = release("OnFailure", "x");
        let mut status = known(&release);
        for n in 0..MAX_QUARANTINE + 3 {
            let digest = format!("b{n}");
            let outcome = Outcome {
                verdict: Verdict::Failed { reason: Reason::HealthTimeout, message: "ä".repeat(9000) },
                ..failed(&digest, Reason::HealthTimeout)
            };
            status = after(&status, &release, &outcome);
        }
        assert_eq!(status.quarantine.len(), MAX_QUARANTINE);
        assert!(status.quarantine.iter().all(|entry| entry.message.len() <= MAX_CAUSE));
    }
}
