//! `supercargo plan release`: what a new revision would change once it is approved.

use clap::Args;

use super::fields::text;
use super::find::{find, release_named};
use crate::cli::args::{ClusterArgs, PageArgs};
use crate::cli::print::output;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::reconcile::frontend::published::{published, view};

/// Show the plan of a release that waits for approval.
///
/// Reads the plan that the operator has published for a release with spec.approval: Manual: every
/// object that is created, configured, recreated, pruned, handed over or run, with the fields that
/// change. Sensitive values are masked. For a release that waits for no approval, `supercargo diff
/// release` shows what a reconciliation would change. Writes nothing to the cluster.
///
/// Exit codes: 0 when no plan waits; 1 failure; 2 when a plan with changes was shown.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PlanRelease {
    /// Name of the release.
    name: String,
    /// Options of the output.
    #[command(flatten)]
    page: PageArgs,
}

const EXAMPLES: &str = "\
Examples:
  # What waits for approval?
  supercargo plan release demo-app -n apps

  # Objects that would be deleted, with jq
  supercargo plan release demo-app -o json | jq -r '.changes[] | select(.action == \"pruned\") | .object'";

impl PlanRelease {
    /// Shows a plan: the exit code says whether there is one.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = &connect(cluster).await?;
        let id = release_named(session, &self.name);
        let release = find(session, &id).await?;
        let Some(plan) = published(&release).map_err(CliError::Failed)? else {
            printer.say(match text(&release, "/spec/approval") {
                "Manual" => format!("release {id} has no plan that waits for approval"),
                _ => format!(
                    "release {id} needs no approval (spec.approval is Automatic); see supercargo diff release {}",
                    id.name
                ),
            });
            return Ok(());
        };
        let view = view(session, &id, plan).await?;
        match &self.page.output {
            Some(format) => output::data(printer, format, &view)?,
            None => view.print(printer)?,
        }
        printer.finish()?;
        Err(CliError::Planned)
    }
}
