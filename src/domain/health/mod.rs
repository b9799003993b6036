//! Health: judges an object by its own status, from one read of the object. No rule
//! here sends a request or remembers an earlier answer.

mod as_of;
mod board;
pub mod catalogue;
mod cause;
mod cluster;
pub mod early;
mod fields;
mod jobs;
mod ladder;
mod pods;
mod rule;
mod rules;
mod storage;
mod verdict;
mod workloads;

pub use as_of::as_of;
pub use board::{Board, Sight, listed};
pub use cause::runs_pods;
pub use fields::Reports;
pub use rules::RuleSet;
pub use rules::expressions::{ExpressionRule, ExpressionRules};
pub use storage::{ClassAnswer, ClassQuestion, is_default_class};
pub use verdict::{Health, HealthState, failures_of};
