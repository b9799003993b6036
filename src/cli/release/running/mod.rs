//! What a release runs, and what the cluster reports about it: events and logs.

pub mod events;
pub mod logs;
mod pods;
