//! What can be typed. Only shapes: what a value means is for the verbs.

mod adopt;
mod artifact;
mod cluster;
mod controller;
mod global;
mod inventory;
mod output;
mod pages;
mod program;
mod registry;
mod release;
mod root;
mod routes;
mod signers;
mod source;
mod value;
mod verify;

pub use adopt::{AdoptCommand, AdoptFlux, AdoptFluxKustomization, AdoptInventory};
pub use artifact::{
    DiffArtifact, IdentityArgs, InspectArtifact, ListArtifacts, ListCommand, PullArtifact, PullCommand,
    PushArtifact, PushCommand, TagArtifact, TagCommand,
};
pub use cluster::ClusterArgs;
pub use controller::ControllerArgs;
pub use global::{ColorChoice, GlobalArgs};
pub use inventory::{
    Apply, ApplyNoun, ApplyOptions, Build, BuildNoun, ContentArgs, Delete, DeleteNoun, DeleteOptions, Diff,
    DiffNoun, DiffOptions, DiffRelease, GetInventories, InspectInventory, InventoryFlags, InventoryNamespace,
};
pub use output::{Format, Output, OutputArgs, PageArgs};
pub use program::{CompletionArgs, DocsArgs, DocsPage, VersionArgs};
pub use registry::RegistryArgs;
pub use release::{
    GetReleases, ReconcileCommand, ReconcileRelease, ReleaseNames, ResumeCommand, StatusCommand,
    StatusRelease, SuspendCommand,
};
pub use root::{Arguments, Command, GetCommand, InspectCommand, command};
pub use routes::RouteArgs;
pub use signers::{SignerArgs, VerifyArgs};
pub use source::SourceArgs;
pub use verify::{VerifyArtifact, VerifyCommand};
