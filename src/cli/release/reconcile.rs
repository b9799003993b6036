//! `supercargo reconcile release`.

use clap::Args;

use super::request;
use crate::cli::args::{ClusterArgs, RequestArgs};
use crate::cli::{CliError, Printer};

/// Let the operator work on releases now, and wait for what comes of it.
///
/// Sets the annotation supercargo.dev/reconcile-at of each release to the present time and waits
/// until its status says that the operator has acted on it. A suspended release is worked on once
/// and stays suspended.
///
/// Exit codes: 0 when every release is Ready, or was only asked (--wait=false); 1 when one is not
/// Ready, is not there, or the time was over; 130 when Ctrl-C ended the wait, which does not end
/// the work of the operator.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ReconcileRelease {
    /// Which, and whether to wait.
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Fetch what the tag stands for by now
  supercargo reconcile release demo-app

  # Everything in a namespace, in the background
  supercargo reconcile release --all -n apps --wait=false

  # One that takes long
  supercargo reconcile release demo-app --timeout 20m";

impl ReconcileRelease {
    /// Asks for a run of each release, and waits for it.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        request::run(&self.request, cluster, printer, false).await
    }
}
