//! Access of a release to its registry, and what else its spec names: keys and inputs.

pub mod access;
pub mod allowed;
pub mod identities;
pub mod inputs;
pub mod receivers;
pub mod reference;
