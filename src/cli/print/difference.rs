//! A difference between two states of an object, as it is printed.

use super::printer::Printer;
use super::text::Line;
use crate::cli::CliError;
use crate::reconcile::frontend::compare::Difference;

impl Difference {
    /// Prints it for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(in crate::cli) fn print(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { object, change, diff, .. } = self;
        printer.line(Line::of_diff(&format!("► {object} {change}")))?;
        diff.lines().try_for_each(|line| printer.line(Line::of_diff(line)))
    }
}
