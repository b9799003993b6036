//! `supercargo rollback release`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::find::release_named;
use super::history::typed;
use super::request::{change, ended};
use super::wait::Wait;
use crate::cli::args::ClusterArgs;
use crate::cli::args::value::duration;
use crate::cli::interrupt::or_interrupted;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::artifact::digest::shortened;
use crate::domain::shown::revisions::rollback_target;
use crate::domain::shown::verbs::PersonRequest;

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
        let target = rollback_target(&status, self.to.as_deref()).map_err(|why| {
            CliError::Failed(format!("cannot roll back release {}/{}: {why}", id.namespace, id.name))
        })?;
        let now = Timestamp::now();
        let (token, name) = (now.to_string(), target.name.clone());
        let verb = PersonRequest::Rollback { to: target, reason: self.reason.clone() };
        let (_, mut failed) = change(session, std::slice::from_ref(&id), &verb.patch(now, None)).await;
        if failed.is_empty() {
            printer.line(format!("{id} pinned to {}", shortened(&name)))?;
            printer.finish()?;
        }
        if self.wait && failed.is_empty() {
            let wait = Wait { session, token: &token, timeout: self.timeout };
            failed.extend(wait.run(vec![id], printer).await?);
        }
        ended(failed)
    }
}
