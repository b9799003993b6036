//! `supercargo adopt inventory`.

use clap::Args;

use super::narrate::{CUT_OFF, count, refused, tell};
use crate::cli::args::{ClusterArgs, InventoryNamespace};
use crate::cli::interrupt::or_interrupted;
use crate::cli::inventory::target::{refuse_live_release, target};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::adopt::Former;
use crate::domain::adopt::kustomizer::{KustomizerInventory, LABEL_PREFIX, MANAGER, config_maps, read};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::Inventory;
use crate::domain::status::inventory_name;
use crate::reconcile::frontend::adopt::Adoption;

/// Take over what Kustomizer 1 or 2 has applied and recorded in an inventory.
///
/// Reads the inventory that Kustomizer 1 or 2 has written and every object in it. Writes our
/// labels, our field manager and our inventory, and nothing else: no object is deleted, restarted
/// or changed in what it does.
///
/// Exit codes: 0; 1 when there is no such inventory, or something could not be taken over.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct AdoptInventory {
    /// The name of the inventory.
    name: String,
    /// Where it is.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Shows what would be taken over, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// The fieldManager.name of Kustomizer's configuration.
    #[arg(long, default_value = MANAGER, value_name = "NAME")]
    field_manager: String,
    /// The fieldManager.group of Kustomizer's configuration.
    #[arg(long, default_value = LABEL_PREFIX, value_name = "GROUP")]
    owner_group: String,
}

const EXAMPLES: &str = "\
Examples:
  # See what would happen
  supercargo adopt inventory app --inventory-namespace default --dry-run

  # Take over; from now on apply and diff with -i app
  supercargo adopt inventory app --inventory-namespace default";

impl AdoptInventory {
    /// Takes over an inventory of Kustomizer and what it names.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        or_interrupted(self.take_over(cluster, printer), || CUT_OFF.to_owned()).await
    }

    async fn take_over(&self, cluster: &ClusterArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let session = connect(cluster).await?;
        let id = target(&self.name, &self.namespace, &session)?;
        printer.say("retrieving inventory...");
        refuse_live_release(&session, &id, false).await?;
        let (map, theirs) = self.find(&session, &id).await?;
        let adoption = Adoption {
            session: &session,
            former: &theirs.former,
            me: &id,
            inventory: &theirs.inventory,
            provenance: &theirs.provenance,
        };
        printer.say(format!("adopting {} manifest(s)...", theirs.inventory.entries.len()));
        let findings = match self.dry_run {
            true => adoption.look().await,
            false => adoption.run().await,
        };
        let findings = findings.map_err(refused)?;
        tell(&findings, self.dry_run, printer);
        let mine = inventory_name(&id.name);
        if self.dry_run {
            printer.say(format!(
                "ConfigMap/{}/{mine} would name {} object(s)",
                id.namespace,
                count(&findings)
            ));
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
        &self,
        session: &Session,
        id: &ReleaseId,
    ) -> Result<(String, KustomizerInventory), CliError> {
        let Self { field_manager, owner_group, .. } = self;
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
}
