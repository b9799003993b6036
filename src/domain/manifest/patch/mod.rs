//! Patches and image changes with the results of Kustomize: strategic merge,
//! JSON 6902, targets, images, and the fields of a Kustomization that change
//! objects. It reads no file and builds no kustomization.

pub mod allowance;
mod error;
pub mod file;
pub mod image;
pub mod json6902;
mod metadata;
mod name;
mod references;
mod selection;
pub mod set;
pub mod spec;
mod steps;
mod strategic;
mod tables;
mod value;

pub use error::{InvalidPatch, PatchError};
pub use selection::{selector, target};
