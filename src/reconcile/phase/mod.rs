//! The phases of a run, in the order of docs/architecture.md.

pub mod admit;
pub mod apply;
pub mod begin;
pub mod claim;
pub mod inventory;
pub mod observe;
pub mod obtain;
pub mod pin;
pub mod plan;
pub mod preflight;
pub mod prune;
pub mod resolve;
pub mod settle;
pub mod steps;
pub mod wait;
