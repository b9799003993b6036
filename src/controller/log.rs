//! The log line of a run: exactly one. A run without changes has one too, at debug.

use std::time::Duration;

use tracing::Level;

use crate::api::reason::Reason;
use crate::api::status::Changes;
use crate::domain::outcome::{Note, Outcome, Verdict};
use crate::observe::labels;

/// How a run ended, in the words of the metrics.
pub fn counted(verdict: &Verdict) -> (labels::RunResult, Reason) {
    match verdict {
        Verdict::Ready { .. } => (labels::RunResult::Success, Reason::ReconciliationSucceeded),
        Verdict::Failed { reason, .. } | Verdict::Waiting { reason, .. } => {
            (labels::RunResult::Failure(reason.disposition()), *reason)
        }
        Verdict::Suspended => (labels::RunResult::Success, Reason::Suspended),
        Verdict::AsBefore => (labels::RunResult::Success, Reason::DriftCorrected),
        Verdict::Superseded => (labels::RunResult::Success, Reason::HealthSuperseded),
    }
}

/// Whether a person has to act on it.
pub fn is_warning(note: &Note) -> bool {
    matches!(
        note.reason,
        Reason::OwnershipConflict | Reason::DowngradeRefused | Reason::TagMismatch | Reason::ImageNotVerified
    )
}

/// Whether a release only waits for another object or a person, which is not a failure.
pub fn is_awaited(reason: Reason) -> bool {
    let waits = [Reason::DependencyNotReady, Reason::DependentsDeleting, Reason::ApprovalRequired];
    waits.contains(&reason) || reason.is_of_arrival()
}

/// The line of a run. `differs` says whether the status has changed.
pub fn run(outcome: &Outcome, differs: bool, took: Duration) {
    let message = match &outcome.verdict {
        Verdict::Ready { message } | Verdict::Failed { message, .. } | Verdict::Waiting { message, .. } => {
            message
        }
        Verdict::Suspended => "suspended",
        Verdict::AsBefore => "checked the objects of the applied revision",
        Verdict::Superseded => "superseded; another run follows",
    };
    write(level(outcome, differs), outcome, message, took);
}

/// The line of a deleted release.
pub fn finalized(outcome: &Outcome, took: Duration) {
    let level = if outcome.notes.iter().any(is_warning) { Level::WARN } else { Level::INFO };
    write(level, outcome, "release deleted", took);
}

fn level(outcome: &Outcome, differs: bool) -> Level {
    let failed = outcome.reason().is_some_and(|reason| !is_awaited(reason));
    let drifted = outcome.drift.as_ref().is_some_and(|d| d.status == Some(true));
    if outcome.notes.iter().any(is_warning) || differs && (failed || drifted) {
        return Level::WARN;
    }
    // A run with the same failure as before may still have written something.
    let acted = outcome.changes.as_ref().is_some_and(Changes::wrote);
    let newly = differs && !outcome.verdict.is_silent();
    if acted || newly || !outcome.notes.is_empty() { Level::INFO } else { Level::DEBUG }
}

fn write(level: Level, outcome: &Outcome, message: &str, took: Duration) {
    let (word, reason) = counted(&outcome.verdict);
    let (word, reason) = (word.as_str(), reason.as_str());
    let changes = outcome.changes.as_ref();
    let (created, configured) = (changes.map(|c| c.created), changes.map(|c| c.configured));
    let (unchanged, pruned) = (changes.map(|c| c.unchanged), changes.map(|c| c.pruned));
    let failed = changes.map(|c| c.failed);
    let drift = outcome.drift.as_ref().filter(|d| d.status == Some(true));
    let drift = drift.map(|d| format!("{}: {}", d.reason.as_str(), d.message));
    let notes = (!outcome.notes.is_empty()).then(|| {
        let notes: Vec<String> =
            outcome.notes.iter().map(|n| format!("{}: {}", n.reason.as_str(), n.message)).collect();
        notes.join("; ")
    });
    // Milliseconds are enough to see what is slow.
    let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
    // A level is a constant to the macro.
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                outcome = word,
                reason,
                created,
                configured,
                unchanged,
                pruned,
                failed,
                drift,
                notes,
                seconds,
                "{message}"
            )
        };
    }
    match level {
        Level::WARN => line!(Level::WARN),
        Level::INFO => line!(Level::INFO),
        _ => line!(Level::DEBUG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Assessment;
    use crate::observe::logging::{LogFormat, written};

    fn ready(changes: Option<Changes>) -> Outcome {
        Outcome { verdict: Verdict::Ready { message: "applied".into() }, changes, ..Outcome::default() }
    }

    fn changes(created: i32, failed: i32) -> Option<Changes> {
        Some(Changes { created, failed, ..Changes::default() })
    }

    fn noted(reason: Reason) -> Outcome {
        let notes =
            vec![Note { reason, message: "it was so".into() }, Note { reason, message: "and so".into() }];
        Outcome { notes, ..ready(None) }
    }

    fn drifted() -> Outcome {
        let drift =
            Assessment { status: Some(true), reason: Reason::DriftDetected, message: "an object".into() };
        Outcome { drift: Some(drift), ..ready(None) }
    }

    #[test]
    fn a_run_is_one_line_of_the_level_that_it_deserves() {
        let check = |outcome: &Outcome, differs: bool, level: &str, says: &str| {
            let took = Duration::from_micros(1_234_567);
            let text = written(LogFormat::Text, Some("debug"), || run(outcome, differs, took));
            assert_eq!(text.lines().count(), 1, "{text}");
            let line = text.split_once(' ').unwrap().1.trim_end();
            let expected = format!("{level:5} controller::log: {says} seconds=1.235");
            assert_eq!(line, expected);
        };
        let well = "applied outcome=success reason=ReconciliationSucceeded";
        check(&ready(None), false, "DEBUG", well);
        check(&ready(None), true, "INFO", well);
        check(
            &ready(changes(2, 0)),
            false,
            "INFO",
            &format!("{well} created=2 configured=0 unchanged=0 pruned=0 failed=0"),
        );
        let notes = "notes=\"InventoryAdopted: it was so; InventoryAdopted: and so\"";
        check(&noted(Reason::InventoryAdopted), false, "INFO", &format!("{well} {notes}"));
        let notes = "notes=\"OwnershipConflict: it was so; OwnershipConflict: and so\"";
        check(&noted(Reason::OwnershipConflict), false, "WARN", &format!("{well} {notes}"));
        check(&drifted(), true, "WARN", &format!("{well} drift=\"DriftDetected: an object\""));
        check(&drifted(), false, "DEBUG", &format!("{well} drift=\"DriftDetected: an object\""));
        let failed = Outcome::failed(Reason::ArtifactNotFound, "it was not found");
        let says = "it was not found outcome=retry reason=ArtifactNotFound";
        check(&failed, true, "WARN", says);
        check(&failed, false, "DEBUG", says);
        let tried = Outcome { changes: changes(0, 1), ..failed };
        let says = format!("{says} created=0 configured=0 unchanged=0 pruned=0 failed=1");
        check(&tried, false, "DEBUG", &says);
        let superseded = Outcome::default();
        let says = "superseded; another run follows outcome=success reason=HealthSuperseded";
        check(&superseded, true, "DEBUG", says);
        let suspended = Outcome { verdict: Verdict::Suspended, ..Outcome::default() };
        check(&suspended, true, "INFO", "suspended outcome=success reason=Suspended");
        check(&suspended, false, "DEBUG", "suspended outcome=success reason=Suspended");
    }
}
