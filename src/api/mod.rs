//! The wire contract: the custom resource, its status, and the closed set of
//! reasons. No client, no clock, no decision.

mod content;
pub mod crd;
mod delivery;
pub mod dependency;
pub mod drift;
pub mod duration;
pub mod health;
pub mod keys;
pub mod object_reference;
pub mod provider;
pub mod reason;
pub mod release;
pub mod status;
pub mod step;
pub mod verify;

pub use content::{helm, layers, patch, post_build};
pub use delivery::{guards, kube_config, notified, notify, plan, rollback};
