//! The verb that takes over from other tools.

use clap::{Args, Subcommand};

use super::InventoryNamespace;
use crate::domain::adopt::kustomizer::{LABEL_PREFIX, MANAGER};

/// What can be taken over.
#[derive(Debug, Subcommand)]
pub enum AdoptCommand {
    /// Take over what Kustomizer 1 or 2 has applied and recorded in an inventory.
    #[command(visible_alias = "inv")]
    Inventory(AdoptInventory),
    /// Take over from Flux.
    #[command(subcommand, arg_required_else_help = true)]
    Flux(AdoptFlux),
}

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

/// `adopt flux`.
#[derive(Debug, Subcommand)]
pub enum AdoptFlux {
    /// Replace a Kustomization and its OCIRepository by an OCIArtifactRelease.
    #[command(visible_alias = "ks")]
    Kustomization(AdoptFluxKustomization),
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
