//! `supercargo delete`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::interrupt::listen;
use super::narrator::{Narrator, conclude, with_failures};
use super::target::{named, refuse_live_release, target};
use crate::api::keys;
use crate::cli::args::value::duration;
use crate::cli::args::{ClusterArgs, InventoryFlags, InventoryNamespace};
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::inventory::Provenance;
use crate::domain::release::{ManualRelease, Release};
use crate::reconcile::frontend::command_line::Local;
use crate::reconcile::removal::uninstall::UninstallReport;

/// Delete everything that an inventory names.
///
/// Reads the inventory and deletes the objects in it, in the reverse order of an apply, then the
/// inventory. An object that carries the labels of another owner, or the annotation
/// supercargo.dev/prune: disabled, stays and is told. The inventory of an OCIArtifactRelease is
/// refused, so delete the release; while that is suspended, --force-inventory deletes what the
/// inventory names all the same.
///
/// Exit codes: 0; 1 when something could not be deleted or was not gone in time; 2 when the
/// arguments make no sense; 130 after Ctrl-C: what is left is in the inventory.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_long_help = EXAMPLES)]
pub struct Delete {
    /// With the noun.
    #[command(subcommand)]
    noun: Option<DeleteNoun>,
    /// Without it.
    #[command(flatten)]
    inventory: InventoryFlags,
    /// The rest.
    #[command(flatten)]
    options: DeleteOptions,
}

const EXAMPLES: &str = "\
Examples:
  # Uninstall, and wait until everything is gone
  supercargo delete -i app

  # Do not wait
  supercargo delete -i app --wait=false";

/// `delete inventory`.
#[derive(Debug, Subcommand)]
pub enum DeleteNoun {
    /// Delete what an inventory names, and the inventory.
    #[command(visible_alias = "inv")]
    Inventory {
        /// The name of the inventory.
        name: String,
        /// The rest.
        #[command(flatten)]
        options: DeleteOptions,
    },
}

/// How to delete.
#[derive(Debug, Args)]
pub struct DeleteOptions {
    /// Where the inventory is.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Waits until everything is gone.
    #[arg(long, default_missing_value = "true", default_value = "true", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    wait: bool,
    /// The longest time of the wait, such as 90s or 5m.
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
    /// Deletes what the inventory of an OCIArtifactRelease names; the release has to be suspended.
    #[arg(long)]
    force_inventory: bool,
}

impl Delete {
    /// Deletes what an inventory names, and the inventory.
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
        let departed = local.delete(&release, &Narrator::new(printer, subjects)).await;
        drop(interrupt);
        match departed {
            Ok(departed) => finish(&departed, &release, signals.is_stopping(), printer),
            Err(failed) => {
                conclude(&failed, printer, "the inventory names what is left; run the same again to go on")
            }
        }
    }
}

fn finish(
    departed: &UninstallReport,
    release: &Release,
    interrupted: bool,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    printer.progress().clear();
    for note in &departed.notes {
        printer.say(format!("warning: {note}"));
    }
    if departed.interrupted {
        let told = format!(
            "{} object(s) were deleted until now, and the inventory names what is left; run the same again to go on",
            departed.deleted
        );
        return Err(CliError::Interrupted(told.into()));
    }
    for id in &departed.kept {
        printer.say(format!("{id} stays, as its annotation {}: {} asks", keys::PRUNE, keys::DISABLED));
    }
    let UninstallReport { terminating, is_named, kept, notes, .. } = departed;
    if terminating.is_empty() {
        let other = if kept.is_empty() && notes.is_empty() { "" } else { "other " };
        printer.say(format!("all {other}resources have been deleted"));
        return Ok(());
    }
    let id = &release.id;
    let again = format!("supercargo delete -i {} --inventory-namespace {}", id.name, id.namespace);
    let told = |headline: &str| {
        let mut lines = with_failures(headline, true, terminating);
        if *is_named {
            lines.push(format!("finish with: {again}"));
        }
        lines
    };
    match (release.wait, interrupted) {
        (false, _) => {
            printer.say(told("not gone yet"));
            Ok(())
        }
        (true, true) => Err(CliError::Interrupted(told("not gone yet"))),
        (true, false) => {
            let headline = format!("not gone within --timeout ({}s)", release.timeout.as_secs());
            Err(CliError::Several(told(&headline)))
        }
    }
}
