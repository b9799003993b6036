//! One signature, in each possible form: what it is for, and who made it.

pub mod bundle;
pub(super) mod candidate;
pub mod certificate;
pub(super) mod claim;
mod keyless;
pub mod simple_signing;
