//! `supercargo crd`: the definition of our own kind.

use clap::Args;

use crate::api::crd::definition_yaml;
use crate::cli::args::ClusterArgs;
use crate::cli::{CliError, Printer};

/// Print the CustomResourceDefinition of OCIArtifactRelease as YAML.
///
/// Writes the definition that this version of the operator needs to stdout; reads nothing.
///
/// Exit codes: 0 success; 1 when stdout cannot be written.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct CrdArgs;

const EXAMPLES: &str = "\
Examples:
  # Install or upgrade the definition
  supercargo crd | kubectl apply --server-side -f -";

impl CrdArgs {
    /// Prints the CustomResourceDefinition.
    ///
    /// # Errors
    /// When it cannot be written to stdout.
    pub(in crate::cli) fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let yaml =
            definition_yaml().map_err(|e| CliError::Input(format!("cannot write the definition: {e}")))?;
        printer.data(yaml.as_bytes())
    }
}
