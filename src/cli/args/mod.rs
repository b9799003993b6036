//! Options that several verbs share. Only shapes: what a value means is for the
//! verbs.

mod cluster;
mod content;
mod global;
mod inventory;
mod output;
mod reading;
mod registry;
mod release;
mod routes;
mod signers;
mod source;
mod substitute;
pub(super) mod value;

pub use cluster::ClusterArgs;
pub use content::ContentArgs;
pub use global::{ColorChoice, GlobalArgs};
pub use inventory::{InventoryFlags, InventoryNamespace};
pub use output::{ManifestOutput, Output, OutputArgs, OutputFormat, PageArgs, ResultArgs};
pub use reading::{ProgramArgs, ReadingArgs};
pub use registry::RegistryArgs;
pub use release::{ReleaseNames, RequestArgs};
pub use routes::RouteArgs;
pub use signers::{SignerArgs, VerifyArgs};
pub use source::SourceArgs;
pub use substitute::{SubstituteArgs, SubstituteMode};
