//! Which objects a patch is for.

pub mod selector;
pub mod target;
