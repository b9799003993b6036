//! The verbs on inventories: `VERB -i NAME`, and `VERB inventory NAME` as
//! Kustomizer 2 says it.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::value::duration;
use super::{ClusterArgs, Format, IdentityArgs, OutputArgs, RegistryArgs, SourceArgs, VerifyArgs};
use crate::cli::artifact::diff::DiffArtifact;

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

/// Manifests, artifacts among them.
#[derive(Debug, Args)]
pub struct ContentArgs {
    /// What is read.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// An artifact, oci://host/repository[:tag][@digest]; latest unless given; may be repeated.
    #[arg(short = 'a', long = "artifact", value_name = "URL", value_delimiter = ',')]
    pub artifacts: Vec<String>,
    /// Whose signature the artifacts have to have.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// What artifacts are decrypted with.
    #[command(flatten)]
    pub keys: IdentityArgs,
    /// How to reach the registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `apply`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Apply {
    /// With the noun.
    #[command(subcommand)]
    pub noun: Option<ApplyNoun>,
    /// Without it.
    #[command(flatten)]
    pub inventory: InventoryFlags,
    /// The rest.
    #[command(flatten)]
    pub options: ApplyOptions,
}

/// `apply inventory`.
#[derive(Debug, Subcommand)]
pub enum ApplyNoun {
    /// Apply manifests and record them in an inventory.
    #[command(visible_alias = "inv")]
    Inventory {
        /// The name of the inventory.
        name: String,
        /// The rest.
        #[command(flatten)]
        options: ApplyOptions,
    },
}

/// How to apply.
#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// What is applied.
    #[command(flatten)]
    pub content: ContentArgs,
    /// Where its inventory is.
    #[command(flatten)]
    pub namespace: InventoryNamespace,
    /// Waits until every object is ready, and what was pruned is gone.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    pub wait: bool,
    /// Deletes what the inventory names and the manifests do not any more.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    pub prune: bool,
    /// Recreates an object whose change the API server refuses because a field is immutable. Never a Namespace, CustomResourceDefinition, PersistentVolume or PersistentVolumeClaim.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    pub force: bool,
    /// Asks the API server what would happen, and writes nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The longest time of each wait, such as 90s or 5m.
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration)]
    pub timeout: Duration,
    /// Creates the inventory's namespace if it does not exist.
    #[arg(long)]
    pub create_namespace: bool,
    /// Where the manifests come from, for the inventory; otherwise the artifact's repository.
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// Which revision they are, for the inventory; otherwise the artifact's tag and digest.
    #[arg(long, value_name = "TEXT")]
    pub revision: Option<String>,
    /// Writes to the inventory of an OCIArtifactRelease, which has to be suspended.
    #[arg(long, hide_short_help = true)]
    pub force_inventory: bool,
}

/// `diff`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Diff {
    /// With a noun.
    #[command(subcommand)]
    pub noun: Option<DiffNoun>,
    /// Without it.
    #[command(flatten)]
    pub inventory: InventoryFlags,
    /// The rest.
    #[command(flatten)]
    pub options: DiffOptions,
}

/// What is compared.
#[derive(Debug, Subcommand)]
pub enum DiffNoun {
    Artifact(DiffArtifact),
    /// Compare what a release wants with the cluster.
    #[command(aliases = ["oar", "ociartifactrelease"])]
    Release(DiffRelease),
    /// Compare manifests with the cluster.
    #[command(visible_alias = "inv")]
    Inventory {
        /// The name of the inventory.
        name: String,
        /// The rest.
        #[command(flatten)]
        options: DiffOptions,
    },
}

/// `diff release`.
#[derive(Debug, Args)]
pub struct DiffRelease {
    /// The release.
    pub name: String,
    /// Another revision than spec.ref asks for: a tag, or sha256: and a digest.
    #[arg(long, value_name = "TAG")]
    pub to: Option<String>,
    /// The form of the output; without it, text for people.
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// How to compare with the cluster.
#[derive(Debug, Args)]
pub struct DiffOptions {
    /// What is compared with the cluster.
    #[command(flatten)]
    pub content: ContentArgs,
    /// Where its inventory is.
    #[command(flatten)]
    pub namespace: InventoryNamespace,
    /// Shows what an apply with --prune would delete.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    pub prune: bool,
    /// Shows what an apply with --force would recreate, in place of an error.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    pub force: bool,
    /// The form of the output; without it, text for people.
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// `build`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, args = ClusterArgs::hidden())]
pub struct Build {
    /// With the noun, artifacts are pulled.
    #[command(subcommand)]
    pub noun: Option<BuildNoun>,
    /// What is built.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Pushes the result to oci://host/repository:tag in place of printing it.
    #[arg(short = 'a', long = "artifact", value_name = "URL")]
    pub artifact: Option<String>,
    /// The form of the output; json is a List.
    #[arg(short = 'o', long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    pub output: Format,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// `build inventory`.
#[derive(Debug, Subcommand)]
pub enum BuildNoun {
    /// Print the manifests that an apply of the same flags would apply.
    #[command(visible_alias = "inv")]
    Inventory {
        /// The name of the inventory; nothing is read from it.
        name: String,
        /// What is built.
        #[command(flatten)]
        content: ContentArgs,
        /// The form of the output; json is a List.
        #[arg(short = 'o', long, value_enum, default_value = "yaml", value_name = "FORMAT")]
        output: Format,
    },
}

/// `delete`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Delete {
    /// With the noun.
    #[command(subcommand)]
    pub noun: Option<DeleteNoun>,
    /// Without it.
    #[command(flatten)]
    pub inventory: InventoryFlags,
    /// The rest.
    #[command(flatten)]
    pub options: DeleteOptions,
}

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
    pub namespace: InventoryNamespace,
    /// Waits until everything is gone.
    #[arg(long, default_missing_value = "true", default_value = "true", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    pub wait: bool,
    /// The longest time of the wait, such as 90s or 5m.
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration)]
    pub timeout: Duration,
    /// Deletes what the inventory of an OCIArtifactRelease names; the release has to be suspended.
    #[arg(long)]
    pub force_inventory: bool,
}

/// `get inventories`.
#[derive(Debug, Args)]
pub struct GetInventories {
    /// The name of one inventory.
    pub name: Option<String>,
    /// Those of all namespaces, which is so unless -n is given.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `inspect inventory`.
#[derive(Debug, Args)]
pub struct InspectInventory {
    /// The name of the inventory.
    pub name: String,
    /// Where it is.
    #[command(flatten)]
    pub namespace: InventoryNamespace,
    /// The form of the output; without it, text for people.
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}
