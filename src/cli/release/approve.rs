//! `supercargo approve release`: lets exactly one plan be applied.

use clap::Args;
use jiff::Timestamp;

use super::find::{absent, find, release_named};
use crate::cli::args::ClusterArgs;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::shown::verbs::{PersonRequest, approvable};
use crate::reconcile::frontend::published::{published, view};

/// Approve the plan of a release that waits for approval.
///
/// Sets the annotations supercargo.dev/approve (the hash of the plan), supercargo.dev/approved-by
/// (your name, as the API server knows it) and supercargo.dev/approved-at. The operator makes the
/// plan again before the first write: if it has become another one, nothing is applied, and the new
/// plan waits. Without --hash, the published plan is shown and approved.
///
/// Exit codes: 0 when the plan is approved; 1 when there is none, or another one than --hash names.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ApproveRelease {
    /// Name of the release.
    name: String,
    /// Approve only the plan with this hash, which supercargo plan release has shown.
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  # Show the plan, and approve exactly that
  supercargo plan release demo-app -n apps
  supercargo approve release demo-app -n apps --hash 3f9c2a7d51e84b06a1c0d2e3f4a5b697

  # Show and approve at once
  supercargo approve release demo-app -n apps";

impl ApproveRelease {
    /// Approves a plan.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = &connect(cluster).await?;
        let id = release_named(session, &self.name);
        let plan = published(&find(session, &id).await?).map_err(CliError::Failed)?;
        let plan = approvable(&id, plan, self.hash.as_deref()).map_err(CliError::Failed)?;
        let hash = plan.hash.clone();
        if self.hash.is_none() {
            view(session, &id, plan).await?.print(printer)?;
        }
        let name = session.user_name().await?;
        let verb = PersonRequest::Approve { hash: hash.clone() };
        let patch = verb.patch(Timestamp::now(), name.as_deref());
        if session.change_release(&id, &patch).await?.is_none() {
            return Err(CliError::Failed(absent(session, &id).await));
        }
        let by = name.map(|name| format!(" by {name}")).unwrap_or_default();
        printer.line(format!("{id} plan {hash} approved{by}"))
    }
}
