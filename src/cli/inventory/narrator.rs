//! Messages for a person while the cluster changes, and about the result.

use std::sync::{Mutex, PoisonError};

use crate::cli::print::text::folded;
use crate::cli::{CliError, Lines, Printer};
use crate::domain::message::{List, and_more};
use crate::domain::outcome::{ObjectFailure, Outcome, Verdict};
use crate::domain::subjects::Subjects;
use crate::reconcile::scope::progress::{Progress, ProgressEvent};

/// How many resources a line names.
const NAMED: usize = 3;

/// Prints a run's events for a person.
pub(super) struct Narrator<'a, 'b> {
    printer: Mutex<&'a mut Printer<'b>>,
    subjects: Subjects,
}

impl<'a, 'b> Narrator<'a, 'b> {
    /// Over a printer, until the run of these objects ends.
    pub fn new(printer: &'a mut Printer<'b>, subjects: Subjects) -> Self {
        Self { printer: Mutex::new(printer), subjects }
    }

    fn say(&self, text: &str) {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner).say(text);
    }
}

impl Progress for Narrator<'_, '_> {
    fn report(&self, event: ProgressEvent<'_>) {
        match event {
            ProgressEvent::Object(id, change) => {
                self.say(&format!("{} {}", self.subjects.name(id), change.as_str()))
            }
            ProgressEvent::AwaitsDependencies(awaited, count) => {
                let names = List::Names.few_as(awaited, NAMED, |id| self.subjects.name(id));
                let s = if count == 1 { "" } else { "s" };
                self.say(&format!("waiting for {names} before applying {count} resource{s}..."));
            }
            ProgressEvent::AwaitsHealth => self.say("waiting for resources to become ready..."),
            ProgressEvent::Healthy => self.say("all resources are ready"),
            ProgressEvent::AwaitsTermination => self.say("waiting for resources to be terminated..."),
            ProgressEvent::Pending(pending) => {
                let pending: Vec<(String, String)> =
                    pending.iter().map(|(id, why)| (self.subjects.name(id), (*why).to_owned())).collect();
                let printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
                printer.progress().waiting(&pending);
            }
        }
    }
}

/// The result of a run, for a person; `interrupted` is the state after Ctrl-C, unless
/// the run has a better message.
pub(super) fn conclude(
    outcome: &Outcome,
    printer: &mut Printer<'_>,
    interrupted: &str,
) -> Result<(), CliError> {
    printer.progress().clear();
    for note in &outcome.notes {
        printer.say(format!("warning: {}", note.message));
    }
    match &outcome.verdict {
        Verdict::Ready { .. } => Ok(()),
        Verdict::Failed { message, .. } | Verdict::Waiting { message, .. } => {
            let headline = outcome.headline.as_deref().unwrap_or(message);
            Err(CliError::Several(with_failures(headline, outcome.headline.is_some(), &outcome.failures)))
        }
        Verdict::Suspended | Verdict::AsBefore | Verdict::Superseded => {
            Err(CliError::Interrupted(outcome.headline.as_deref().unwrap_or(interrupted).into()))
        }
    }
}

/// Why a preview failed, after `before`, the consequence for the person.
pub(in crate::cli) fn why_not(failed: &Outcome, before: &str) -> Lines {
    let message = match &failed.verdict {
        Verdict::Failed { message, .. } | Verdict::Waiting { message, .. } => message.as_str(),
        _ => "it did not finish",
    };
    let headline = format!("{before}{}", failed.headline.as_deref().unwrap_or(message));
    with_failures(&headline, failed.headline.is_some(), &failed.failures)
}

/// How many failures are shown; one cause often has hundreds.
const MAX_SHOWN: usize = 20;

/// A headline, and one line per failure.
pub(in crate::cli) fn with_failures(headline: &str, list: bool, failures: &[ObjectFailure]) -> Lines {
    let headline = folded(headline);
    if !list || failures.is_empty() {
        return headline.into();
    }
    let mut lines = Lines::from(format!("{headline}:"));
    for failure in failures.iter().take(MAX_SHOWN) {
        lines.push(format!("  {}: {}", failure.id, folded(&failure.message)));
    }
    if let Some(more) = and_more(failures.len().saturating_sub(MAX_SHOWN)) {
        lines.push(format!("  {more}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;
    use crate::domain::identity::ObjectId;

    #[test]
    fn one_screen_of_failures_is_shown() {
        let failure = |n: usize| ObjectFailure {
            id: ObjectId::from_inventory_id(&format!("a_x{n}__ConfigMap")).unwrap(),
            reason: Reason::ApplyFailed,
            message: "no".to_owned(),
        };
        let failures: Vec<ObjectFailure> = (0..MAX_SHOWN + 5).map(failure).collect();
        let check = |list: bool, count: usize, expected: &str| {
            let text = with_failures("head", list, &failures[..count]).to_string();
            assert!(text.ends_with(expected), "{text}");
        };
        check(false, 2, "head");
        check(true, 0, "head");
        check(true, 2, "head:\n  ConfigMap/a/x0: no\n  ConfigMap/a/x1: no");
        check(true, MAX_SHOWN, "\n  ConfigMap/a/x19: no");
        check(true, MAX_SHOWN + 5, "\n  ConfigMap/a/x19: no\n  and 5 more");
    }
}
