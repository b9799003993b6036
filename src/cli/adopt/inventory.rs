//! `supercargo adopt inventory`.

use clap::Args;

use super::narrate::{CUT_OFF, count, refused, report};
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

/// Adopt the objects in an inventory of Kustomizer 1 or 2.
///
/// Reads the inventory that Kustomizer 1 or 2 wrote and every object in it. Writes only the labels,
/// the field manager and the inventory of Supercargo: no object is deleted, restarted or otherwise
/// changed.
///
/// Exit codes: 0 success; 1 when the inventory does not exist, or an object cannot be adopted.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct AdoptInventory {
    /// Name of the inventory.
    name: String,
    /// The namespace of the inventory.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Show the objects to adopt; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// fieldManager.name in Kustomizer's configuration.
    #[arg(long, default_value = MANAGER, value_name = "NAME")]
    field_manager: String,
    /// fieldManager.group in Kustomizer's configuration.
    #[arg(long, default_value = LABEL_PREFIX, value_name = "GROUP")]
    owner_group: String,
}

const EXAMPLES: &str = "\
Examples:
  # Show the objects to adopt
  supercargo adopt inventory app --inventory-namespace default --dry-run

  # Adopt; then use apply and diff with -i app
  supercargo adopt inventory app --inventory-namespace default";

impl AdoptInventory {
    /// Adopts an inventory of Kustomizer and its objects.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        or_interrupted(self.adopt(cluster, printer), || CUT_OFF.to_owned()).await
    }

    async fn adopt(&self, cluster: &ClusterArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
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
        report(&findings, self.dry_run, printer);
        let mine = inventory_name(&id.name);
        if self.dry_run {
            printer.say(format!(
                "ConfigMap/{}/{mine} would record {} object(s)",
                id.namespace,
                count(&findings)
            ));
            return Ok(());
        }
        printer.say(format!("ConfigMap/{}/{mine} records {} object(s)", id.namespace, count(&findings)));
        if map != mine {
            printer.say(format!(
                "ConfigMap/{0}/{map} of Kustomizer is no longer needed; delete it: kubectl -n {0} delete configmap {map}",
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
                CliError::Failed(format!("cannot read ConfigMap/{}/{name}: {why}", id.namespace))
            })?;
            if let Some(found) = found {
                return Ok((name, found));
            }
        }
        let ours = session.read_inventory(id).await?;
        if let Ok(former) = serde_json::from_str::<Former>(&ours.provenance.adopting) {
            // A run was interrupted after its first write.
            let (inventory, provenance) = (Inventory::clone(&ours.inventory), ours.provenance.clone());
            return Ok((inventory_name(&id.name), KustomizerInventory { former, inventory, provenance }));
        }
        if ours.is_ours() {
            return Err(CliError::Failed(format!(
                "the inventory {} in namespace {} is already an inventory of supercargo",
                id.name, id.namespace
            )));
        }
        let [second, first] = config_maps(&id.name);
        Err(CliError::Failed(format!(
            "no inventory of Kustomizer found in namespace {}: neither ConfigMap {second} nor {first} was written by \
             the field manager {field_manager}",
            id.namespace
        )))
    }
}
