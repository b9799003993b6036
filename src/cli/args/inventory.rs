//! The inventory of a command.

use clap::Args;

/// The inventory, by flags.
#[derive(Debug, Args)]
pub struct InventoryFlags {
    /// Name of the inventory, which records the applied objects.
    #[arg(short = 'i', long = "inventory-name", required = true, value_name = "NAME")]
    pub name: Option<String>,
}

/// The namespace of the inventory.
#[derive(Debug, Args)]
pub struct InventoryNamespace {
    /// Namespace of the inventory (default: that of -n or of the kubeconfig context).
    #[arg(long, value_name = "NAMESPACE")]
    pub inventory_namespace: Option<String>,
}
