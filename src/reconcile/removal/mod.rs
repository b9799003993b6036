//! The removal of objects, stage by stage: those that left a revision, or all of a release.

pub mod approval;
pub mod finalize;
mod hold;
pub mod in_order;
pub mod planned;
pub mod remove;
pub mod removed;
pub mod resume;
pub mod terminating;
pub mod uninstall;
