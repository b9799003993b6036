//! `supercargo version`.

use serde::Serialize;

use crate::cli::args::VersionArgs;
use crate::cli::print::output;
use crate::cli::{CliError, Printer};

/// What this program is.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    /// Of the sources; none in a build that was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    platform: String,
}

/// Prints it.
///
/// # Errors
/// When it cannot be written to stdout.
pub(super) fn print(arguments: &VersionArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("SUPERCARGO_COMMIT").filter(|commit| !commit.is_empty()),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    match arguments.page.output {
        Some(format) => output::data(printer, format, &version),
        None => {
            let commit = version.commit.map(|commit| format!(" (commit {commit})")).unwrap_or_default();
            printer.line(format!("supercargo {}{commit} {}", version.version, version.platform))
        }
    }
}
