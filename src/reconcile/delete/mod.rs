//! The deletion of all that a release has.

pub mod finalize;
pub mod uninstall;
