//! Patches and image changes with the results of Kustomize: strategic merge,
//! JSON 6902, targets, images, and the fields of a Kustomization that change
//! objects. It reads no file and builds no kustomization.

pub mod allowance;
mod directive;
mod error;
mod fields;
pub mod file;
pub mod image;
pub mod json6902;
mod kinds;
mod lists;
mod locations;
mod merge;
mod metadata;
mod names;
mod schema;
pub mod selector;
pub mod set;
pub mod spec;
pub mod target;
mod tree;

pub use error::{InvalidPatch, PatchError};
