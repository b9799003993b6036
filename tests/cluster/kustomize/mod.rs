//! Kustomizations that the operator builds.

mod confinement;
mod equality;
mod limits;
mod overlays;
mod refusals;
mod stories;
pub mod tree;
