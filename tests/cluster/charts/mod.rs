//! Helm charts that the operator renders.

mod confinement;
mod delivery;
mod equality;
mod hooks;
pub mod package;
mod refusals;
mod stories;
