//! Every decision, as pure functions over values: no client, no async, no
//! clock, no randomness. Time is an argument.

pub mod artifact;
pub mod expression;
pub mod gate;
pub mod health;
pub mod inventory;
pub mod manifest;
pub mod message;
mod objects;
pub mod plan;
mod process;
pub mod release;
mod run;
pub mod shown;
pub mod status;
pub mod verify;

pub use artifact::{allowed, digest, prefix, tags, version, webhook};
pub use manifest::{diff, patch};
pub use objects::{drift, identity, images, live, object, placement, size, subjects};
pub use plan::{delegated, order, preflight, prune, recreate, stage};
pub use process::{capacity, configuration, fair, kept, proxy, quota, remote, replicas, zone};
pub use release::{adopt, observed};
pub use run::{age, ledger, notify, outcome, schedule, verdict};
