//! `supercargo list artifacts`.

use serde::Serialize;

use crate::cli::args::ListArtifacts;
use crate::cli::print::output;
use crate::cli::print::table::Table;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::tags::newest_first;
use crate::domain::version::Range;
use crate::oci::{Repository, Tag};

/// A tag, for programs.
#[derive(Serialize)]
struct Listed {
    version: String,
    url: String,
}

/// Prints the tags of a repository, the newest version first.
pub(super) async fn artifacts(arguments: &ListArtifacts, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let ListArtifacts { url, semver, output, registry: reach } = arguments;
    let range = semver.as_deref().map(Range::parse).transpose();
    let range = range.map_err(|e| CliError::Usage(format!("--semver: {e}")))?;
    let repository = Repository::parse(url).map_err(|e| match e {
        _ if url.starts_with("oci://") && url.rsplit('/').next().is_some_and(|n| n.contains([':', '@'])) => {
            CliError::Usage(format!("{url} names one artifact; name a repository to list its tags"))
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
