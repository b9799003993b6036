//! `supercargo completion`.

use clap::Command;

use crate::cli::args::CompletionArgs;
use crate::cli::{CliError, Printer};

/// Prints the script of a whole command line for a shell.
///
/// # Errors
/// When it cannot be written to stdout.
pub(super) fn print(
    arguments: &CompletionArgs,
    mut root: Command,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut root, "supercargo", &mut script);
    printer.data(&script)
}
