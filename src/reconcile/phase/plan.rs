//! The plan of a revision.

pub mod drift;
pub mod ownership;
