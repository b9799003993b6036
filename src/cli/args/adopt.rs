//! The verb that takes over from other tools.

use clap::Args;

use super::InventoryNamespace;
use crate::domain::adopt::kustomizer::{LABEL_PREFIX, MANAGER};

/// `adopt inventory`.
#[derive(Debug, Args)]
pub struct AdoptInventory {
    /// The name of the inventory.
    pub name: String,
    /// Where it is.
    #[command(flatten)]
    pub namespace: InventoryNamespace,
    /// Shows what would be taken over, and writes nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The fieldManager.name of Kustomizer's configuration.
    #[arg(long, default_value = MANAGER, value_name = "NAME")]
    pub field_manager: String,
    /// The fieldManager.group of Kustomizer's configuration.
    #[arg(long, default_value = LABEL_PREFIX, value_name = "GROUP")]
    pub owner_group: String,
}

/// `adopt flux kustomization`.
#[derive(Debug, Args)]
pub struct AdoptFluxKustomization {
    /// The name of the Kustomization, and of the release.
    pub name: String,
    /// Shows the release and what would be taken over, and writes nothing.
    #[arg(long)]
    pub dry_run: bool,
}
