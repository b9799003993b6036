//! Every decision, as pure functions over values: no client, no async, no
//! clock, no randomness. Time is an argument.

pub mod health;
pub mod identity;
pub mod manifest;
pub mod object;
pub mod schedule;
pub mod version;
