//! How a release reaches its registry.

pub mod access;
pub mod identities;
