//! One run: what it is about and who takes part in it.

pub mod progress;
pub mod registry_wait;
pub mod signals;
