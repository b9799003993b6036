//! Which inventory is meant.

use clap::Args;

/// Which inventory, by flags.
#[derive(Debug, Args)]
pub struct InventoryFlags {
    /// The name of the inventory, which records what is applied together.
    #[arg(short = 'i', long = "inventory-name", required = true, value_name = "NAME")]
    pub name: Option<String>,
}

/// Which inventory's namespace.
#[derive(Debug, Args)]
pub struct InventoryNamespace {
    /// The namespace of the inventory; otherwise that of -n, or of the kubeconfig's context.
    #[arg(long, value_name = "NAMESPACE")]
    pub inventory_namespace: Option<String>,
}
