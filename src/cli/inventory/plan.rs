//! `supercargo plan`: what an apply would change, with a hash that `supercargo apply --plan` takes.

use std::time::Duration;

use clap::Args;

use super::content::gather;
use super::narrator::conclude;
use super::target::{named, target};
use crate::cli::args::{ClusterArgs, ContentArgs, InventoryFlags, InventoryNamespace, PageArgs};
use crate::cli::print::output;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::inventory::Provenance;
use crate::domain::plan::changeset::{PlanDetail, entries};
use crate::domain::release::{ManualRelease, Release};
use crate::reconcile::frontend::command_line::Local;
use crate::reconcile::frontend::published::PlanView;

/// Nothing is waited for.
const NO_WAIT: Duration = Duration::from_secs(60);
/// Everything.
const WHOLE: PlanDetail =
    PlanDetail { changes: usize::MAX, fields: usize::MAX, value: usize::MAX, bytes: usize::MAX };

/// Show what an apply would change, with a hash for `supercargo apply --plan`.
///
/// Reads manifests like apply and makes the plan of it by server-side dry runs: every object that
/// is created, configured, recreated, pruned or handed over, with the fields that change. Sensitive
/// values are masked: those of Secrets, and those that the annotation supercargo.dev/sensitive-paths
/// names. `supercargo apply --plan HASH` with the same arguments applies exactly this plan, and
/// refuses any other. Needs the namespace of the inventory. Writes nothing to the cluster.
///
/// Exit codes: 0 when nothing would change; 1 failure; 2 when a plan with changes was shown.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PlanInventory {
    /// The inventory.
    #[command(flatten)]
    inventory: InventoryFlags,
    /// The input.
    #[command(flatten)]
    content: ContentArgs,
    /// The namespace of its inventory.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Plan as apply --prune does.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    prune: bool,
    /// Plan as apply --force does.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    force: bool,
    /// Options of the output.
    #[command(flatten)]
    page: PageArgs,
}

const EXAMPLES: &str = "\
Examples:
  # What would an upgrade change?
  supercargo plan -i app --prune -a oci://ghcr.io/acme/app-config:v1.1.0

  # Apply exactly that
  HASH=$(supercargo plan -i app --prune -a oci://ghcr.io/acme/app-config:v1.1.0 -o json | jq -r .hash)
  supercargo apply -i app --prune -a oci://ghcr.io/acme/app-config:v1.1.0 --plan \"$HASH\"";

impl PlanInventory {
    /// Shows a plan: the exit code says whether it changes anything.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = connect(cluster).await?;
        let id = target(&named(self.inventory)?, &self.namespace, &session)?;
        let content = gather(&self.content, Some(&session), printer).await?;
        let release = Release::manual(ManualRelease {
            id,
            default_namespace: session.default_namespace().to_owned(),
            prune: self.prune,
            wait: false,
            force: self.force,
            timeout: NO_WAIT,
            provenance: Provenance::default(),
        });
        let mut local = Local::new(session)?;
        let (plan, token) = match local.plan(&release, content.bundle.yaml()?).await {
            Ok(found) => found,
            Err(failed) => return conclude(&failed, printer, "nothing was written"),
        };
        let (changes, _) = entries(&plan, WHOLE);
        let counts = plan.counts();
        let view = PlanView { hash: token.to_string(), counts, changes, ..PlanView::default() };
        match &self.page.output {
            Some(format) => output::data(printer, format, &view)?,
            None => view.print(printer)?,
        }
        printer.finish()?;
        if view.changes.is_empty() { Ok(()) } else { Err(CliError::Planned) }
    }
}
