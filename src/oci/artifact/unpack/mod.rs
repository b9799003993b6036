//! A layer's bytes to the manifests in it, in memory and within limits.
//!
//! Nothing is ever written to disk by an entry's name. Blocking: run it off
//! the async workers.

mod archive;
mod extension;
mod layer;
mod order;
mod stream;

pub(in crate::oci) use layer::unpack;
pub(in crate::oci) use order::{Order, normal_path};
pub(super) use order::{check_sum, is_below};

#[cfg(test)]
mod tests;
