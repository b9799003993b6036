//! `supercargo delete`.

use super::interrupt::listen;
use super::narrator::{Narrator, conclude, with_failures};
use super::target::{named, refuse_live_release, target};
use crate::api::keys;
use crate::cli::args::{ClusterArgs, Delete, DeleteNoun};
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::inventory::Provenance;
use crate::domain::release::{ByHand, Release};
use crate::reconcile::delete::uninstall::Departed;
use crate::reconcile::frontend::command_line::Local;

/// Deletes what an inventory names, and the inventory.
pub(in crate::cli) async fn delete(
    arguments: Delete,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let (name, options) = match arguments.noun {
        Some(DeleteNoun::Inventory { name, options }) => (name, options),
        None => (named(arguments.inventory)?, arguments.options),
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
    let release = Release::by_hand(ByHand {
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

fn finish(
    departed: &Departed,
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
    let Departed { terminating, is_named, kept, notes, .. } = departed;
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
