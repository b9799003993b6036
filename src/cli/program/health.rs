//! The table of docs/health.md: every entry of the catalogue.

use crate::cli::{CliError, Printer};
use crate::domain::health::catalogue::{CatalogueEntry, all};

/// Prints the table.
///
/// # Errors
/// When it cannot be written to stdout.
pub(in crate::cli) fn print(printer: &mut Printer<'_>) -> Result<(), CliError> {
    let mut page = String::from(
        "\n| kinds | failed | suspended | in progress | needed | the ladder decides the rest |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for entry in all() {
        page.push_str(&row(entry));
    }
    page.push('\n');
    printer.data(page.as_bytes())
}

fn row(entry: &CatalogueEntry) -> String {
    let kinds = match entry.kinds {
        [] => format!("`{}`: all others", entry.group),
        kinds => format!("`{}`: {}", entry.group, kinds.join(", ")),
    };
    format!("| {kinds} | {} |\n", entry.sentences().join(" | "))
}
