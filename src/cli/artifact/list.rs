//! `supercargo list artifacts`.

use clap::Args;
use serde::Serialize;

use crate::cli::args::{OutputArgs, RegistryArgs};
use crate::cli::print::output;
use crate::cli::print::table::Table;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::tags::newest_first;
use crate::domain::version::Range;
use crate::oci::{Repository, Tag};

/// List the tags of a repository, newest version first.
///
/// Reads the tags of a repository; writes nothing. Tags of signatures are omitted.
///
/// Exit codes: 0 success; 1 when the registry cannot be read; 2 invalid URL or range.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ListArtifacts {
    /// Repository: oci://host/repository.
    url: String,
    /// List only versions in this range, such as 1.x or '>=1.0.0 <2.0.0'.
    #[arg(long, value_name = "RANGE")]
    semver: Option<String>,
    /// Options of the output.
    #[command(flatten)]
    output: OutputArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  supercargo list artifacts oci://ghcr.io/acme/app-config

  # Only the versions in a range
  supercargo list artifacts oci://ghcr.io/acme/app-config --semver '>=1.0.0 <2.0.0'";

/// A tag, for programs.
#[derive(Serialize)]
struct Listed {
    version: String,
    url: String,
}

impl ListArtifacts {
    /// Prints the tags of a repository, newest version first.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, semver, output, registry: reach } = self;
        let range = semver.as_deref().map(Range::parse).transpose();
        let range = range.map_err(|e| CliError::Usage(format!("--semver: {e}")))?;
        let repository = Repository::parse(url).map_err(|e| match e {
            _ if url.starts_with("oci://")
                && url.rsplit('/').next().is_some_and(|n| n.contains([':', '@'])) =>
            {
                CliError::Usage(format!("{url} names one artifact; pass a repository to list its tags"))
            }
            other => other.into(),
        })?;
        let registry = login::registry(reach, printer);
        let access = login::access(reach, &repository).await?;
        let tags = registry.tags(&repository, &access).await?;
        let listed: Vec<Listed> = newest_first(tags.iter().map(Tag::as_str), range.as_ref())
            .into_iter()
            .map(|tag| Listed { version: tag.to_owned(), url: format!("oci://{repository}:{tag}") })
            .collect();
        if let Some(format) = output.output.format() {
            return output::data(printer, format, &listed);
        }
        let mut table = Table::new(["VERSION", "URL"]);
        for Listed { version, url } in listed {
            table.row([version.into(), url.into()]);
        }
        table.print(printer, !output.no_headers)
    }
}
