//! How a release reaches its registry.

pub mod access;
pub mod allowed;
pub mod identities;
pub mod reference;
