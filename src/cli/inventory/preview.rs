//! The output of a preview.

use super::narrator::with_failures;
use crate::cli::args::OutputFormat;
use crate::cli::print::output;
use crate::cli::{CliError, Printer};
use crate::domain::release::Release;
use crate::reconcile::frontend::compare::Difference;
use crate::reconcile::preview::Preview;

/// Prints what would change; the result is that of a comparison.
pub(in crate::cli) fn show(
    preview: &Preview,
    format: Option<&OutputFormat>,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let differences = Difference::of_preview(preview);
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

/// The warning about a preview of an apply that needs a flag.
pub(super) fn no_namespace(release: &Release) -> String {
    format!(
        "warning: namespace {} does not exist; create it with apply --create-namespace",
        release.id.namespace
    )
}
