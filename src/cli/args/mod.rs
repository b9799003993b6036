//! What can be typed. Only shapes: what a value means is for the verbs.

mod adopt;
mod cluster;
mod global;
mod identity;
mod inventory;
mod output;
pub(super) mod pages;
mod registry;
mod release;
mod routes;
mod signers;
mod source;
pub(super) mod value;

pub use adopt::{AdoptFluxKustomization, AdoptInventory};
pub use cluster::ClusterArgs;
pub use global::{ColorChoice, GlobalArgs};
pub use identity::IdentityArgs;
pub use inventory::{
    Apply, ApplyNoun, ApplyOptions, Build, BuildNoun, ContentArgs, Delete, DeleteNoun, DeleteOptions, Diff,
    DiffNoun, DiffOptions, DiffRelease, GetInventories, InspectInventory, InventoryFlags, InventoryNamespace,
};
pub use output::{Format, Output, OutputArgs, PageArgs};
pub use registry::RegistryArgs;
pub use release::{GetReleases, ReconcileRelease, ReleaseNames, StatusRelease};
pub use routes::RouteArgs;
pub use signers::{SignerArgs, VerifyArgs};
pub use source::SourceArgs;
