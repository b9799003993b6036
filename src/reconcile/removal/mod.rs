//! The removal of objects, stage by stage.

pub mod hold;
pub mod terminating;
