//! `supercargo adopt inventory`.

use super::narrate::{CUT_OFF, count, refused, tell};
use crate::cli::args::{AdoptInventory, ClusterArgs};
use crate::cli::interrupt::or_interrupted;
use crate::cli::inventory::target::{refuse_live_release, target};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::adopt::Former;
use crate::domain::adopt::kustomizer::{KustomizerInventory, config_maps, read};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::Inventory;
use crate::domain::status::inventory_name;
use crate::reconcile::adopt::Adoption;

/// Takes over an inventory of Kustomizer and what it names.
pub(in crate::cli) async fn inventory(
    arguments: AdoptInventory,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    or_interrupted(take_over(arguments, cluster, printer), || CUT_OFF.to_owned()).await
}

async fn take_over(
    arguments: AdoptInventory,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let session = connect(cluster).await?;
    let id = target(&arguments.name, &arguments.namespace, &session)?;
    printer.say("retrieving inventory...");
    refuse_live_release(&session, &id, false).await?;
    let (map, theirs) = find(&session, &id, &arguments).await?;
    let adoption = Adoption {
        session: &session,
        former: &theirs.former,
        me: &id,
        inventory: &theirs.inventory,
        provenance: &theirs.provenance,
    };
    printer.say(format!("adopting {} manifest(s)...", theirs.inventory.entries.len()));
    let findings = match arguments.dry_run {
        true => adoption.look().await,
        false => adoption.run().await,
    };
    let findings = findings.map_err(refused)?;
    tell(&findings, arguments.dry_run, printer);
    let mine = inventory_name(&id.name);
    if arguments.dry_run {
        printer.say(format!("ConfigMap/{}/{mine} would name {} object(s)", id.namespace, count(&findings)));
        return Ok(());
    }
    printer.say(format!("ConfigMap/{}/{mine} names {} object(s)", id.namespace, count(&findings)));
    if map != mine {
        printer.say(format!(
            "ConfigMap/{0}/{map} is Kustomizer's record, which nothing needs any more: kubectl -n {0} delete configmap {map}",
            id.namespace
        ));
    }
    Ok(())
}

/// The ConfigMap that Kustomizer wrote, of either version.
async fn find(
    session: &Session,
    id: &ReleaseId,
    arguments: &AdoptInventory,
) -> Result<(String, KustomizerInventory), CliError> {
    let AdoptInventory { field_manager, owner_group, .. } = arguments;
    for name in config_maps(&id.name) {
        let Some(map) = session.config_map(&id.namespace, &name).await? else { continue };
        let found = read(&map, id, field_manager, owner_group).map_err(|why| {
            CliError::Failed(format!("ConfigMap/{}/{name} cannot be read: {why}", id.namespace))
        })?;
        if let Some(found) = found {
            return Ok((name, found));
        }
    }
    let ours = session.read_inventory(id).await?;
    if let Ok(former) = serde_json::from_str::<Former>(&ours.provenance.adopting) {
        // A run was cut off after its first write.
        let (inventory, provenance) = (Inventory::clone(&ours.inventory), ours.provenance.clone());
        return Ok((inventory_name(&id.name), KustomizerInventory { former, inventory, provenance }));
    }
    if ours.is_ours() {
        return Err(CliError::Failed(format!(
            "the inventory {} in the namespace {} is supercargo's already",
            id.name, id.namespace
        )));
    }
    let [second, first] = config_maps(&id.name);
    Err(CliError::Failed(format!(
        "there is no inventory of Kustomizer in the namespace {}: neither ConfigMap {second} nor {first} is one that \
         the field manager {field_manager} wrote",
        id.namespace
    )))
}
