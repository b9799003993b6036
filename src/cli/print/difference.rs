//! A difference between two states of an object.

use serde::Serialize;

use super::printer::Printer;
use super::text::Line;
use crate::cli::CliError;

/// A difference, for programs.
#[derive(Serialize)]
pub(in crate::cli) struct Difference {
    /// Name of the object.
    pub object: String,
    /// API group, where it is not the core's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind of difference, in a word.
    pub change: String,
    /// A unified diff, where there are two states.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

impl Difference {
    /// Prints it for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { object, change, diff, .. } = self;
        printer.line(Line::of_diff(&format!("► {object} {change}")))?;
        diff.lines().try_for_each(|line| printer.line(Line::of_diff(line)))
    }
}
