//! `supercargo version`.

use clap::Args;
use serde::Serialize;

use crate::cli::args::{ClusterArgs, PageArgs};
use crate::cli::print::output;
use crate::cli::{CliError, Printer};

/// Print the version.
///
/// Reads and writes nothing; does not contact the cluster.
///
/// Exit codes: 0 success.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct VersionArgs {
    /// How it is printed.
    #[command(flatten)]
    page: PageArgs,
}

const EXAMPLES: &str = "\
Examples:
  supercargo version

  # Only the number
  supercargo version -o json | jq -r .version";

/// What this program is.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    /// Of the sources; absent in a build without SUPERCARGO_COMMIT.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    platform: String,
}

impl VersionArgs {
    /// Prints it.
    ///
    /// # Errors
    /// When it cannot be written to stdout.
    pub(in crate::cli) fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let version = Version {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SUPERCARGO_COMMIT").filter(|commit| !commit.is_empty()),
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        };
        match &self.page.output {
            Some(format) => output::data(printer, format, &version),
            None => {
                let commit = version.commit.map(|commit| format!(" (commit {commit})")).unwrap_or_default();
                printer.line(format!("supercargo {}{commit} {}", version.version, version.platform))
            }
        }
    }
}
