//! What is done to one object: applied, deleted, given to another owner.

pub mod adopt;
pub mod apply;
pub mod delete;
