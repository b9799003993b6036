//! Access of a release to its registry.

pub mod access;
pub mod allowed;
pub mod identities;
pub mod reference;
