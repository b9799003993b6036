//! Actions on one object: apply, delete, change the owner.

pub mod adopt;
pub mod apply;
pub mod delete;
