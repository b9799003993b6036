//! Messages about an adoption.

use crate::cli::inventory::narrator::with_failures;
use crate::cli::{CliError, Printer};
use crate::reconcile::frontend::adopt::{AdoptError, AdoptionFinding, Findings};

/// The state after Ctrl-C.
pub(super) const CUT_OFF: &str = "nothing was deleted; rerun the command to continue";

/// A line for each object.
pub(super) fn report(findings: &Findings, dry_run: bool, printer: &mut Printer<'_>) {
    let note = if dry_run { " (server dry run)" } else { "" };
    for (id, found) in findings {
        match found {
            AdoptionFinding::Theirs(lost) => {
                printer.say(format!("{id} adopted{note}"));
                for mark in lost {
                    printer.say(format!("warning: {id}: {mark}"));
                }
            }
            AdoptionFinding::Ours => printer.say(format!("{id} unchanged{note}")),
            AdoptionFinding::Missing => printer.say(format!("{id} does not exist, skipped")),
            AdoptionFinding::Foreign(why) => printer.say(format!("warning: {id} skipped: {why}")),
        }
    }
}

/// How many objects the inventory then records.
pub(super) fn count(findings: &Findings) -> usize {
    findings
        .iter()
        .filter(|(_, found)| matches!(found, AdoptionFinding::Theirs(_) | AdoptionFinding::Ours))
        .count()
}

/// Why not all objects were adopted, with one line per object.
pub(super) fn refused(error: AdoptError) -> CliError {
    match &error {
        AdoptError::Refused(failures) | AdoptError::Incomplete(failures) => {
            CliError::Several(with_failures(&error.to_string(), true, failures))
        }
        AdoptError::Taken(_) | AdoptError::Api(_) | AdoptError::Store(_) => match error {
            AdoptError::Api(error) => error.into(),
            AdoptError::Store(error) => error.into(),
            other => CliError::Failed(other.to_string()),
        },
    }
}
