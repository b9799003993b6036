//! The removal of objects, stage by stage: what left a revision, and all that a release has.

pub mod finalize;
pub mod hold;
pub mod remove;
pub mod removed;
pub mod resume;
pub mod terminating;
pub mod uninstall;
