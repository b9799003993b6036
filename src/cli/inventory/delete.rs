//! `supercargo delete`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::interrupt::listen;
use super::narrator::{Narrator, conclude, with_failures};
use super::target::{named, refuse_live_release, target};
use crate::api::keys;
use crate::cli::args::value::duration;
use crate::cli::args::{ClusterArgs, InventoryFlags, InventoryNamespace};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::inventory::Provenance;
use crate::domain::release::{ManualRelease, Release};
use crate::domain::subjects::Subjects;
use crate::reconcile::frontend::command_line::Local;
use crate::reconcile::removal::uninstall::UninstallReport;

/// Delete an inventory and its objects.
///
/// Deletes the objects of the inventory in the reverse order of an apply, then the inventory. An
/// object with the labels of another owner, or with the annotation supercargo.dev/prune: disabled,
/// is kept and reported. The inventory of an OCIArtifactRelease is refused: delete the release
/// instead, or suspend it and use --force-inventory.
///
/// Exit codes: 0 success; 1 when an object could not be deleted or was not gone in time; 2 invalid
/// usage; 130 interrupted by Ctrl-C: the remaining objects are in the inventory.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_long_help = EXAMPLES)]
pub struct Delete {
    /// With a noun.
    #[command(subcommand)]
    noun: Option<DeleteNoun>,
    /// Without a noun.
    #[command(flatten)]
    inventory: InventoryFlags,
    /// The other options.
    #[command(flatten)]
    options: DeleteOptions,
}

const EXAMPLES: &str = "\
Examples:
  # Uninstall and wait until all objects are gone
  supercargo delete -i app

  # Uninstall without waiting
  supercargo delete -i app --wait=false";

/// `delete inventory`.
#[derive(Debug, Subcommand)]
pub enum DeleteNoun {
    /// Delete an inventory and its objects.
    #[command(visible_alias = "inv")]
    Inventory {
        /// Name of the inventory.
        name: String,
        /// The other options.
        #[command(flatten)]
        options: DeleteOptions,
    },
}

/// How to delete.
#[derive(Debug, Args)]
pub struct DeleteOptions {
    /// The namespace of the inventory.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Wait until all objects are gone.
    #[arg(long, default_missing_value = "true", default_value = "true", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    wait: bool,
    /// Time limit of the wait, such as 90s or 5m.
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
    /// Delete the inventory and objects of an OCIArtifactRelease, which must be suspended.
    #[arg(long)]
    force_inventory: bool,
}

impl Delete {
    /// Deletes an inventory and its objects.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let (name, options) = match self.noun {
            Some(DeleteNoun::Inventory { name, options }) => (name, options),
            None => (named(self.inventory)?, self.options),
        };
        let session = connect(cluster).await?;
        let id = target(&name, &options.namespace, &session)?;
        printer.say("retrieving inventory...");
        refuse_live_release(&session, &id, options.force_inventory).await?;
        let default_namespace = session.default_namespace().to_owned();
        let mut local = Local::new(session)?;
        let (entries, subjects) = match local.inventory(&id).await {
            Ok(stored) => (stored.inventory.entries.len(), Subjects::of(stored.inventory.entries.keys())),
            Err(failed) => return conclude(&failed, printer, ""),
        };
        printer.say(format!("deleting {entries} manifest(s)..."));
        let release = Release::manual(ManualRelease {
            id,
            default_namespace,
            prune: true,
            wait: options.wait,
            force: false,
            timeout: options.timeout,
            provenance: Provenance::default(),
        });
        let signals = local.signals();
        let interrupt = listen(local.signals());
        let report = local.delete(&release, &Narrator::new(printer, subjects)).await;
        drop(interrupt);
        match report {
            Ok(report) => finish(&report, &release, signals.is_stopping(), printer),
            Err(failed) => {
                conclude(&failed, printer, "the remaining objects are in the inventory; rerun to continue")
            }
        }
    }
}

fn finish(
    report: &UninstallReport,
    release: &Release,
    interrupted: bool,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    printer.progress().clear();
    for note in &report.notes {
        printer.say(format!("warning: {note}"));
    }
    if report.interrupted {
        let message = format!(
            "{} object(s) deleted, the remaining objects are in the inventory; rerun to continue",
            report.deleted
        );
        return Err(CliError::Interrupted(message.into()));
    }
    for id in &report.kept {
        printer.say(format!("{id} kept (annotation {}: {})", keys::PRUNE, keys::DISABLED));
    }
    let UninstallReport { terminating, is_named, kept, notes, .. } = report;
    if terminating.is_empty() {
        let other = if kept.is_empty() && notes.is_empty() { "" } else { "other " };
        printer.say(format!("all {other}resources have been deleted"));
        return Ok(());
    }
    let id = &release.id;
    let again = format!("supercargo delete -i {} --inventory-namespace {}", id.name, id.namespace);
    let message = |headline: &str| {
        let mut lines = with_failures(headline, true, terminating);
        if *is_named {
            lines.push(format!("to finish, run: {again}"));
        }
        lines
    };
    match (release.wait, interrupted) {
        (false, _) => {
            printer.say(message("not gone yet"));
            Ok(())
        }
        (true, true) => Err(CliError::Interrupted(message("not gone yet"))),
        (true, false) => {
            let headline = format!("not gone within --timeout ({}s)", release.timeout.as_secs());
            Err(CliError::Several(message(&headline)))
        }
    }
}
