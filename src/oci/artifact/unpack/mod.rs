//! The bytes of layers to the files in them, in memory and within limits.
//!
//! Nothing is ever written to disk by an entry's name. Blocking: run it off
//! the async workers.

mod archive;
mod blank;
mod extension;
mod layer;
mod merge;
mod order;
mod stream;

pub(in crate::oci) use blank::is_blank;
pub(super) use merge::unpack_everything;
pub(in crate::oci) use merge::{unpack, unpack_chart};
pub use order::Form;
pub(super) use order::{
    EXTENSION, add_top, check_sum, is_below, is_lock, is_manifest_name, no_manifests, path_missing,
};
pub(in crate::oci) use order::{LayerHint, Order, StoredLayer, Unpacked, normal_path};

#[cfg(test)]
mod tests;
