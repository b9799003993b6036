//! `crd`: the definition of our own kind.

use crate::api::crd::definition_yaml;
use crate::cli::{CliError, Printer};

/// Prints the CustomResourceDefinition.
///
/// # Errors
/// When it cannot be written to stdout.
pub fn print(printer: &mut Printer<'_>) -> Result<(), CliError> {
    let yaml =
        definition_yaml().map_err(|e| CliError::Input(format!("the definition cannot be written: {e}")))?;
    printer.data(yaml.as_bytes())
}
