//! The live objects in the cluster.

pub mod checkup;
pub mod in_sync;
pub mod named;
pub mod owners;
pub mod view;
pub mod watched;
