//! The phases of a run, in the order of docs/architecture.md.

pub mod admit;
pub mod apply;
pub mod observe;
pub mod plan;
pub mod preflight;
pub mod prune;
pub mod render;
pub mod resolve;
pub mod settle;
pub mod wait;
pub mod work;
