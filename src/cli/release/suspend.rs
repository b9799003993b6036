//! `supercargo suspend release`.

use clap::Args;
use serde_json::json;

use super::fields::id;
use super::request::{change, chosen, ended};
use crate::cli::args::{ClusterArgs, ReleaseNames};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};

/// Let the operator leave releases alone until they are resumed.
///
/// Sets spec.suspend. What is applied stays as it is, also where somebody changes it: drift is not
/// corrected. A run that is under way ends first. If the release itself comes out of Git or another
/// release, set spec.suspend there, or it may be set back.
///
/// Exit codes: 0 when all are suspended, also those that were; 1 when one is not there or may not
/// be changed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SuspendRelease {
    /// Which releases.
    #[command(flatten)]
    which: ReleaseNames,
}

const EXAMPLES: &str = "\
Examples:
  # Change something by hand for a while
  supercargo suspend release demo-app

  # The whole namespace
  supercargo suspend release --all -n apps";

impl SuspendRelease {
    /// Lets the operator leave releases alone.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = &connect(cluster).await?;
        let releases = chosen(&self.which, session, printer).await?;
        let (suspended, failed) = change(session, &releases, &json!({"spec": {"suspend": true}})).await;
        for release in suspended {
            printer.line(format!("{} suspended", id(&release)))?;
        }
        ended(failed)
    }
}
