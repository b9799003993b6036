//! What each kind of sender writes, in its own documented form.

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
