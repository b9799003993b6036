//! The kinds that the API server serves, and their definitions.

pub(super) mod definitions;
pub mod discovery;
pub(super) mod resource;
pub(super) mod served;
