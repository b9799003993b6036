//! `supercargo resume release`.

use clap::Args;

use super::request;
use crate::cli::args::{ClusterArgs, RequestArgs};
use crate::cli::{CliError, Printer};

/// Let the operator work on suspended releases again, and wait for what comes of it.
///
/// Sets spec.suspend to false and asks for a run, as reconcile does.
///
/// Exit codes: those of reconcile.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ResumeRelease {
    /// Which, and whether to wait.
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Go on, and see that all is well
  supercargo resume release demo-app

  # Go on without waiting
  supercargo resume release demo-app --wait=false";

impl ResumeRelease {
    /// Lets the operator go on with each release, and waits for it.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        request::run(&self.request, cluster, printer, true).await
    }
}
