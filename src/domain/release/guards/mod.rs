//! When a new revision may come, and what it may remove without approval.

pub mod promotion;
mod spec;
pub mod windows;

pub use spec::{Guards, PromotionRule, RemovalLimits};
