//! What each kind of sender writes, in its own documented form.

mod acr;
mod delivery;
mod distribution;
mod docker_hub;
mod generic;
mod github;
mod harbor;
mod quay;

pub use delivery::{Delivery, Malformed, read};
