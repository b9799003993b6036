//! `supercargo resume release`.

use clap::Args;

use super::request;
use crate::cli::args::{ClusterArgs, RequestArgs};
use crate::cli::{CliError, Printer};

/// Resume reconciliation of suspended or pinned releases and wait for the result.
///
/// Sets spec.suspend to false, removes the annotation supercargo.dev/pin, which rollback sets, and
/// requests a reconciliation, as reconcile does.
///
/// Exit codes: as for reconcile.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ResumeRelease {
    /// The releases, and whether to wait.
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Resume and wait until the release is ready
  supercargo resume release demo-app

  # Resume without waiting
  supercargo resume release demo-app --wait=false";

impl ResumeRelease {
    /// Resumes each release, and waits for it.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        request::run(&self.request, cluster, printer, true).await
    }
}
