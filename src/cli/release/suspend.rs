//! `supercargo suspend release`.

use clap::Args;
use jiff::Timestamp;

use super::fields::id;
use super::request::{change, chosen, ended};
use crate::cli::args::{ClusterArgs, ReleaseNames};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::shown::verbs::PersonRequest;

/// Suspend reconciliation of releases until they are resumed.
///
/// Sets spec.suspend to true. Applied objects keep running; new revisions are not applied and drift
/// is not corrected. A run in progress ends first. If the release itself is managed from Git or by
/// another release, set spec.suspend there; otherwise it can be reset.
///
/// Exit codes: 0 when all releases are suspended, including those that already were; 1 when a
/// release does not exist or cannot be changed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SuspendRelease {
    /// Which releases.
    #[command(flatten)]
    which: ReleaseNames,
}

const EXAMPLES: &str = "\
Examples:
  # Stop drift correction during a manual change
  supercargo suspend release demo-app

  # All releases of a namespace
  supercargo suspend release --all -n apps";

impl SuspendRelease {
    /// Suspends releases.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = &connect(cluster).await?;
        let releases = chosen(&self.which, session, printer).await?;
        let (suspended, failed) =
            change(session, &releases, &PersonRequest::Suspend.patch(Timestamp::now(), None)).await;
        for release in suspended {
            printer.line(format!("{} suspended", id(&release)))?;
        }
        ended(failed)
    }
}
