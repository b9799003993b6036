//! One signature, in each form that it may have: what it is for, and who stands behind it.

pub mod bundle;
pub(super) mod candidate;
pub mod certificate;
pub(super) mod claim;
mod keyless;
pub mod simple_signing;
