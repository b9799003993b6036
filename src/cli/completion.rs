//! `supercargo completion`.

use crate::cli::args::{self, CompletionArgs};
use crate::cli::{CliError, Printer};

/// Prints the script for a shell.
///
/// # Errors
/// When it cannot be written to stdout.
pub(super) fn print(arguments: &CompletionArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut args::command(None), "supercargo", &mut script);
    printer.data(&script)
}
