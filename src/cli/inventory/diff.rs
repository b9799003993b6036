//! `supercargo diff` against a cluster.

use std::time::Duration;

use clap::Args;

use super::content::gather;
use super::narrator::conclude;
use super::preview::{no_namespace, show};
use super::target::{named, target};
use crate::cli::args::{ClusterArgs, ContentArgs, InventoryFlags, InventoryNamespace, PageArgs};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::inventory::Provenance;
use crate::domain::release::{ManualRelease, Release};
use crate::reconcile::frontend::command_line::Local;

/// Nothing is waited for.
const NO_WAIT: Duration = Duration::from_secs(60);

/// Compare manifests with the cluster.
///
/// Reads manifests like apply and shows, by server-side dry runs, what they would change; writes
/// nothing to the cluster. Values of Secrets are masked. With --key or --certificate-identity,
/// artifacts are verified first. Also works if the Namespace or the CustomResourceDefinition of an
/// object does not exist yet.
///
/// Exit codes: as for kubectl diff: 0 no differences; 1 differences found; 2 comparison failed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DiffInventory {
    /// The inventory.
    #[command(flatten)]
    inventory: InventoryFlags,
    /// The other options.
    #[command(flatten)]
    options: DiffOptions,
}

const EXAMPLES: &str = "\
Examples:
  # Show what an upgrade would change
  supercargo pull artifact oci://ghcr.io/acme/app-config:v1.1.0 | supercargo diff -i app --prune -f-

  # The same without the pipe
  supercargo diff -i app --prune -a oci://ghcr.io/acme/app-config:v1.1.0

  # Detect drift in a script
  supercargo diff -i app -a oci://ghcr.io/acme/app-config:v1.0.0 >/dev/null || echo drifted";

/// Compare manifests with the cluster.
#[derive(Debug, Args)]
pub struct DiffNamedInventory {
    /// Name of the inventory.
    name: String,
    /// The other options.
    #[command(flatten)]
    options: DiffOptions,
}

/// How to compare with the cluster.
#[derive(Debug, Args)]
pub struct DiffOptions {
    /// The input.
    #[command(flatten)]
    content: ContentArgs,
    /// The namespace of its inventory.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Show what apply --prune would delete.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    prune: bool,
    /// Show what apply --force would recreate, instead of an error.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    force: bool,
    /// Options of the output.
    #[command(flatten)]
    page: PageArgs,
}

impl DiffInventory {
    /// Compares manifests with the cluster: the exit code says whether they differ.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let name = named(self.inventory)?;
        self.options.run(&name, cluster, printer).await
    }
}

impl DiffNamedInventory {
    /// The same with the name as an argument.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        self.options.run(&self.name, cluster, printer).await
    }
}

impl DiffOptions {
    async fn run(
        &self,
        name: &str,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        self.compare(name, cluster, printer).await.map_err(CliError::of_comparison)
    }

    async fn compare(
        &self,
        name: &str,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = connect(cluster).await?;
        let id = target(name, &self.namespace, &session)?;
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
        let preview = match local.preview(&release, content.bundle.yaml()?).await {
            Ok(preview) => preview,
            Err(failed) => return conclude(&failed, printer, "nothing was written"),
        };
        if preview.lacks_namespace {
            printer.say(no_namespace(&release));
        }
        show(&preview, self.page.output.as_ref(), printer)
    }
}
