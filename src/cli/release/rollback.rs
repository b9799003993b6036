//! `supercargo rollback release`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::find::release_named;
use super::history::{named, typed};
use super::request::{change, ended};
use super::wait::Wait;
use crate::api::keys;
use crate::api::status::ReleaseStatus;
use crate::cli::args::ClusterArgs;
use crate::cli::args::value::duration;
use crate::cli::interrupt::or_interrupted;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::artifact::digest::shortened;
use crate::domain::ledger::KnownRevision;

/// Pin a release to an earlier revision and wait for the result.
///
/// Sets the annotation supercargo.dev/pin to the revision: the operator applies it, by its digest,
/// and does not follow spec.ref until `supercargo resume release`. So a GitOps tool that applies the
/// same spec does not undo it. The revision is verified again and rolled out like any other;
/// windows, ages and promotions do not hold it back. Without --to, it is the last healthy revision
/// before the applied one.
///
/// Exit codes: as for reconcile.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RollbackRelease {
    /// Name of the release.
    name: String,
    /// Revision: a tag, tag@digest, digest or number of `supercargo history release`.
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Why; the status of the release shows it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Wait for the result; --wait=false returns at once.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "true|false")]
    wait: bool,
    /// Time limit of the wait, such as 30s, 5m or 1h30m.
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,
}

const EXAMPLES: &str = "\
Examples:
  # Back to the revision before
  supercargo rollback release demo-app --reason 'orders are lost, see INC-7'

  # To a certain revision of supercargo history release
  supercargo rollback release demo-app --to 1.4.2

  # Follow spec.ref again
  supercargo resume release demo-app";

impl RollbackRelease {
    /// Pins the release, and waits for the result.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = connect(cluster).await?;
        let left = || {
            format!("reconciliation continues in the cluster; see supercargo status release {}", self.name)
        };
        or_interrupted(self.pin(&session, printer), left).await
    }

    async fn pin(&self, session: &Session, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let id = release_named(session, &self.name);
        let status = typed(session, &id).await?.status.unwrap_or_default();
        let target = target(&status, self.to.as_deref()).map_err(|why| {
            CliError::Failed(format!("cannot roll back release {}/{}: {why}", id.namespace, id.name))
        })?;
        let token = Timestamp::now().to_string();
        let reason = Some(&self.reason).filter(|reason| !reason.is_empty());
        let annotations =
            json!({(keys::PIN): target.name, (keys::PIN_REASON): reason, (keys::RECONCILE_AT): token});
        let patch = json!({"metadata": {"annotations": annotations}});
        let (_, mut failed) = change(session, std::slice::from_ref(&id), &patch).await;
        if failed.is_empty() {
            printer.line(format!("{id} pinned to {}", shortened(&target.name)))?;
            printer.finish()?;
        }
        if self.wait && failed.is_empty() {
            let wait = Wait { session, token: &token, timeout: self.timeout };
            failed.extend(wait.run(vec![id], printer).await?);
        }
        ended(failed)
    }
}

/// The revision to go back to.
fn target(status: &ReleaseStatus, to: Option<&str>) -> Result<KnownRevision, String> {
    let target = match to {
        Some(name) => named(&status.history, name)?,
        None => {
            let applied = status.last_applied_revision.as_deref().unwrap_or_default();
            let digest = applied.rsplit('@').next().unwrap_or_default();
            let mut earlier = status.history.iter().filter(|e| e.outcome != "Failed" && e.digest != digest);
            let earlier = earlier.next().and_then(|entry| KnownRevision::named(&entry.revision));
            earlier.ok_or("there is no earlier revision in the history; name a digest with --to")?
        }
    };
    match status.quarantine.iter().find(|entry| entry.digest == target.digest) {
        Some(entry) => Err(format!(
            "revision {} is quarantined ({}); to try it again, annotate the release with {}={}",
            target.name,
            entry.reason,
            keys::RETRY,
            entry.digest
        )),
        None => Ok(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rollback::QuarantineEntry;
    use crate::api::status::HistoryEntry;

    #[test]
    fn the_target_is_the_last_good_revision_before_the_applied_one() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let entry = |tag: &str, digit: &str, outcome: &str| HistoryEntry {
            revision: format!("{tag}@{}", digest(digit)),
            digest: digest(digit),
            outcome: outcome.to_owned(),
            ..HistoryEntry::default()
        };
        let status = ReleaseStatus {
            last_applied_revision: Some(format!("1.2@{}", digest("a"))),
            history: vec![
                entry("1.2", "a", "Healthy"),
                entry("1.3", "d", "Failed"),
                entry("1.1", "b", "Healthy"),
                entry("1.0", "c", "Applied"),
            ],
            quarantine: vec![QuarantineEntry { digest: digest("d"), ..QuarantineEntry::default() }],
            ..ReleaseStatus::default()
        };
        let check = |to: Option<&str>, expected: Result<&str, &str>| {
            let found = target(&status, to).map(|known| known.name);
            match expected {
                Ok(tag) => assert!(found.as_ref().is_ok_and(|name| name.starts_with(tag)), "{found:?}"),
                Err(says) => assert!(found.as_ref().is_err_and(|why| why.contains(says)), "{found:?}"),
            }
        };
        check(None, Ok("1.1@"));
        check(Some("1.0"), Ok("1.0@"));
        check(Some("#1"), Ok("1.2@"));
        check(Some("1.3"), Err("is quarantined"));
        check(Some("2.0"), Err("is not in the history"));
        let none = ReleaseStatus::default();
        assert!(target(&none, None).is_err_and(|why| why.contains("no earlier revision")));
    }
}
