//! The removal of objects, stage by stage.

pub mod hold;
pub mod onward;
pub mod remove;
pub mod removed;
pub mod terminating;
