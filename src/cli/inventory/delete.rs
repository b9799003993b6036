//! `supercargo delete`.

use super::interrupt::listen;
use super::narrator::{Narrator, conclude};
use super::target::{named, refuse_live_release, target};
use crate::cli::args::{ClusterArgs, Delete, DeleteNoun};
use crate::cli::{CliError, Printer, connect};
use crate::domain::inventory::Provenance;
use crate::domain::release::{ByHand, Release};
use crate::pipeline::local::{Departed, Local};

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
    let session = connect::connect(cluster).await?;
    let id = target(&name, &options.namespace, &session)?;
    printer.say("retrieving inventory...");
    refuse_live_release(&session, &id, options.force_inventory).await?;
    let default_namespace = session.default_namespace().to_owned();
    let mut local = Local::new(session)?;
    let entries = match local.inventory(&id).await {
        Ok(stored) => stored.inventory.entries.len(),
        Err(failed) => return conclude(&failed, printer, ""),
    };
    printer.say(&format!("deleting {entries} manifest(s)..."));
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
    let departed = local.delete(&release, &Narrator::new(printer)).await;
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
        printer.say(&format!("warning: {note}"));
    }
    let left = departed.terminating.len();
    if left == 0 {
        printer.say("all resources have been deleted");
        return Ok(());
    }
    let first = &departed.terminating[0];
    let more = if left > 1 { format!(" and {} more", left - 1) } else { String::new() };
    let id = &release.id;
    let again = format!("supercargo delete -i {} --inventory-namespace {}", id.name, id.namespace);
    match (release.wait, interrupted) {
        (false, _) => {
            printer.say(&format!(
                "{first}{more} still terminating; the inventory names them until `{again}` finds them gone"
            ));
            Ok(())
        }
        (true, true) => {
            Err(CliError::Interrupted(format!("{first}{more} still terminating; finish with `{again}`")))
        }
        (true, false) => Err(CliError::Failed(format!(
            "not gone within --timeout ({}s): {first}{more}; something holds them, often a finalizer \
             (kubectl get … -o jsonpath={{.metadata.finalizers}}); finish with `{again}`",
            release.timeout.as_secs()
        ))),
    }
}
