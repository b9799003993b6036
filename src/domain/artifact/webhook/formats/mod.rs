//! The documented format of each kind of sender.

mod acr;
mod delivery;
mod distribution;
mod docker_hub;
mod generic;
mod github;
mod harbor;
mod quay;
mod reading;

pub use delivery::read;
pub use reading::{Delivery, Malformed};
