//! How a new revision is delivered: what holds it back, who approves it, and the way back.

pub mod guards;
pub mod plan;
pub mod rollback;
