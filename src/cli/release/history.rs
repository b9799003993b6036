//! `supercargo history release`, and how the verbs name a revision of the past.

use clap::Args;
use jiff::Timestamp;

use super::find::{find, release_named};
use crate::api::release::OCIArtifactRelease;
use crate::api::status::{Changes, HistoryEntry, ReleaseStatus};
use crate::cli::args::{ClusterArgs, Output, OutputArgs};
use crate::cli::print::age::age;
use crate::cli::print::color::Tone;
use crate::cli::print::output;
use crate::cli::print::table::{Cell, Table};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::artifact::digest::{is_digest, shortened};
use crate::domain::identity::ReleaseId;
use crate::domain::ledger::KnownRevision;

/// How many digits of a digest are enough to name it.
const DIGITS: usize = 8;

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

/// The revision that a person names: by its tag, `tag@digest`, its digest or the first digits of it,
/// or its number in the history.
///
/// # Errors
/// Why there is no such revision.
pub(super) fn named(history: &[HistoryEntry], name: &str) -> Result<KnownRevision, String> {
    let known = |entry: &HistoryEntry| KnownRevision::named(&entry.revision);
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_part = digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let is_it = |entry: &&HistoryEntry| {
        let tag = entry.revision.split_once('@').map(|(tag, _)| tag);
        let digest = entry.digest.strip_prefix("sha256:").unwrap_or(&entry.digest);
        entry.revision == name || tag == Some(name) || is_part && digest.starts_with(digits)
    };
    if let Some(found) = history.iter().find(is_it).and_then(known) {
        return Ok(found);
    }
    // A tag may be a number, too.
    let number = name.trim_start_matches('#').parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    if let Some(found) = number.and_then(|n| history.get(n)).and_then(known) {
        return Ok(found);
    }
    match name.rsplit('@').next().filter(|digest| is_digest(digest)) {
        Some(_) => KnownRevision::named(name).ok_or_else(|| format!("{name} is not a revision")),
        None => Err(format!(
            "revision {name} is not in the history; name one of `supercargo history release`, or a digest sha256:…"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn a_revision_is_named_as_it_is_shown() {
        let entry = |tag: &str, digit: char| HistoryEntry {
            revision: format!("{tag}@{}", digest(digit)),
            digest: digest(digit),
            ..HistoryEntry::default()
        };
        let history = [entry("1.1.0", 'a'), entry("1.0.0", 'b'), entry("1.0.0", 'c'), entry("1", 'd')];
        let check = |name: &str, expected: Option<usize>| {
            let found = named(&history, name).ok().map(|known| known.name);
            assert_eq!(found, expected.map(|n| history[n].revision.clone()), "{name}");
        };
        check("1.1.0", Some(0));
        check("1.0.0", Some(1));
        check(&history[2].revision, Some(2));
        check(&digest('c'), Some(2));
        check("sha256:cccccccc", Some(2));
        check("cccccccc", Some(2));
        check("ccc", None);
        // A tag wins over a number.
        check("1", Some(3));
        check("2", Some(1));
        check("#1", Some(0));
        check("5", None);
        check("0", None);
        check("2.0.0", None);
        // What is not in the history needs a digest.
        let other = named(&history, &digest('e')).map(|known| known.digest);
        assert_eq!(other, Ok(digest('e')));
        let other = named(&history, &format!("0.9.0@{}", digest('e'))).map(|known| known.name);
        assert_eq!(other, Ok(format!("0.9.0@{}", digest('e'))));
    }
}
