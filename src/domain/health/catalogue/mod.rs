//! The catalogue: what is known of how the controllers of custom resources report. One line
//! a kind; the ladder judges all others, and most of these too.
//!
//! An entry is a fact about a controller, from its API documentation. It is here when the
//! ladder alone would be wrong, or when an object of the kind is not healthy before its
//! controller has written a status.

mod check;
mod cloud;
mod data;
mod delivery;
mod entry;
mod lookup;
mod network;
mod platform;
mod workload;

pub use entry::CatalogueEntry;
pub use lookup::{all, find};
