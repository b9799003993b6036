//! What may keep a release from going on: one veto a file, each a pure function with a
//! table of tests.

pub mod downgrade;
pub mod empty;
mod facts;
pub mod gates;
pub mod inventory;
pub mod ownership;
pub mod registry;
pub mod suspend;
#[cfg(test)]
mod tests;
pub mod trust;

pub use facts::{Decision, Facts, Hold, WakeOn};
pub use gates::decide;
