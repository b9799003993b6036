//! The output of a preview.

use super::narrator::with_failures;
use crate::cli::args::OutputFormat;
use crate::cli::print::difference::Difference;
use crate::cli::print::output;
use crate::cli::print::subjects::Subjects;
use crate::cli::{CliError, Printer};
use crate::domain::diff::unified;
use crate::domain::release::Release;
use crate::reconcile::preview::{PlannedChange, Preview};
use crate::reconcile::scope::progress::ObjectChange;

/// Prints what would change; the result is that of a comparison.
pub(in crate::cli) fn show(
    preview: &Preview,
    format: Option<&OutputFormat>,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let subjects = Subjects::of(preview.objects.iter().map(|planned| &planned.id));
    let differences: Vec<Difference> =
        preview.objects.iter().filter_map(|planned| difference(planned, &subjects)).collect();
    match format {
        Some(format) => output::data(printer, format, &differences)?,
        None => differences.iter().try_for_each(|difference| difference.print(printer))?,
    }
    for note in &preview.notes {
        printer.say(format!("warning: {note}"));
    }
    if !preview.failures.is_empty() {
        let headline =
            format!("dry run failed for {} object(s), an apply would write nothing", preview.failures.len());
        return Err(CliError::Several(with_failures(&headline, true, &preview.failures)));
    }
    if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
}

fn difference(planned: &PlannedChange, subjects: &Subjects) -> Option<Difference> {
    let (change, diff) = match planned.change {
        ObjectChange::Unchanged => return None,
        ObjectChange::Created => ("created", String::new()),
        ObjectChange::Deleted => ("deleted", String::new()),
        ObjectChange::Run => ("run", String::new()),
        ObjectChange::Recreated => ("recreated", unified(planned.before.as_ref(), planned.after.as_ref())),
        ObjectChange::Configured => {
            let diff = unified(planned.before.as_ref(), planned.after.as_ref());
            // Only fields that the API server manages differ.
            if diff.is_empty() {
                return None;
            }
            ("drifted", diff)
        }
    };
    let PlannedChange { id, .. } = planned;
    Some(Difference { object: subjects.name(id), group: id.group.clone(), change: change.to_owned(), diff })
}

/// The warning about a preview of an apply that needs a flag.
pub(super) fn no_namespace(release: &Release) -> String {
    format!(
        "warning: namespace {} does not exist; create it with apply --create-namespace",
        release.id.namespace
    )
}
