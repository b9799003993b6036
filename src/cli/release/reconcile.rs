//! `supercargo reconcile release`.

use clap::Args;

use super::request;
use crate::cli::args::{ClusterArgs, RequestArgs};
use crate::cli::{CliError, Printer};

/// Reconcile releases now and wait for the result.
///
/// Sets the annotation supercargo.dev/reconcile-at of each release to the current time and waits
/// until its status shows that the operator has handled it. A suspended release is reconciled once
/// and remains suspended.
///
/// Exit codes: 0 when every release is Ready, or was requested with --wait=false; 1 when a release
/// is not Ready or does not exist, or the wait timed out; 130 when interrupted by Ctrl-C:
/// reconciliation then continues in the cluster.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ReconcileRelease {
    /// The releases, and whether to wait.
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Pull what the tag names now
  supercargo reconcile release demo-app

  # All releases of a namespace, without waiting
  supercargo reconcile release --all -n apps --wait=false

  # A longer time limit
  supercargo reconcile release demo-app --timeout 20m";

impl ReconcileRelease {
    /// Requests a run of each release, and waits for it.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        request::run(&self.request, cluster, printer, false).await
    }
}
