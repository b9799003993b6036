//! `supercargo history release`.

use clap::Args;
use jiff::Timestamp;

use super::find::{find, release_named};
use crate::api::release::OCIArtifactRelease;
use crate::api::status::{Changes, ReleaseStatus};
use crate::cli::args::{ClusterArgs, Output, OutputArgs};
use crate::cli::print::color::Tone;
use crate::cli::print::output;
use crate::cli::print::table::{Cell, Table};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::age::age;
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ReleaseId;

/// Show the last revisions of a release.
///
/// Lists status.history, newest first: what became of each revision, why it failed, who has signed
/// it and what it changed. The other verbs accept a revision as it is shown: its tag, tag@digest,
/// the digest or its first digits, or its number in the list. Quarantined revisions are marked:
/// they have failed and are not applied any more.
///
/// Exit codes: 0 for any history; 1 when the release does not exist or cannot be read.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct HistoryRelease {
    /// Name of the release.
    name: String,
    /// Options of the output.
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  # What has run, and what has failed?
  supercargo history release demo-app

  # With the signers and the whole digests
  supercargo history release demo-app -o wide

  # Digests of the revisions that were healthy
  supercargo history release demo-app -o json | jq -r '.[] | select(.outcome == \"Healthy\") | .digest'";

impl HistoryRelease {
    /// Shows the history of a release.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = &connect(cluster).await?;
        let id = release_named(session, &self.name);
        let status = typed(session, &id).await?.status.unwrap_or_default();
        let wide = self.output.output.is_wide();
        match self.output.output.format() {
            Some(format) => output::data(printer, format, &status.history)?,
            None if matches!(self.output.output, Output::Name) => {
                status.history.iter().try_for_each(|entry| printer.line(entry.revision.as_str()))?;
            }
            None if status.history.is_empty() => {
                printer.say(format!("no revision of release {}/{} was applied yet", id.namespace, id.name));
            }
            None => table(&status, wide, Timestamp::now()).print(printer, !self.output.no_headers)?,
        }
        printer.finish()
    }
}

/// A release in the cluster, as its type.
pub(super) async fn typed(session: &Session, id: &ReleaseId) -> Result<OCIArtifactRelease, CliError> {
    let found = find(session, id).await?;
    let broken =
        |error| CliError::Failed(format!("cannot read release {}/{}: {error}", id.namespace, id.name));
    serde_json::from_value(found).map_err(broken)
}

fn table(status: &ReleaseStatus, wide: bool, now: Timestamp) -> Table {
    let mut headers = vec!["#", "REVISION", "OUTCOME", "AGE", "CHANGES"];
    if wide {
        headers.extend(["SIGNER", "APPROVED BY", "SOURCE"]);
    }
    headers.push("REASON");
    let mut table = Table::new(headers);
    for (number, entry) in status.history.iter().enumerate() {
        let is_quarantined = status.quarantine.iter().any(|q| Some(&q.key) == entry.key.as_ref());
        let outcome = match is_quarantined {
            true => format!("{} (quarantined)", entry.outcome),
            false => entry.outcome.clone(),
        };
        let tone = if entry.outcome == "Failed" { Tone::Bad } else { Tone::Good };
        let revision = if wide { entry.revision.clone() } else { shortened(&entry.revision) };
        let mut row = vec![
            Cell::from((number + 1).to_string()),
            Cell::from(revision),
            Cell::toned(outcome, tone),
            Cell::from(age(entry.ended_at.as_deref().or(Some(&entry.applied_at)), now)),
            Cell::from(changes(&entry.changes)),
        ];
        if wide {
            row.push(entry.signer.as_deref().unwrap_or_default().into());
            row.push(entry.approved_by.as_deref().unwrap_or_default().into());
            row.push(entry.source.as_deref().unwrap_or_default().into());
        }
        row.push(entry.reason.as_deref().unwrap_or_default().into());
        table.row(row);
    }
    table
}

/// The changes in short: created, configured, pruned.
fn changes(changes: &Changes) -> String {
    format!("+{} ~{} -{}", changes.created, changes.configured, changes.pruned)
}
