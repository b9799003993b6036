//! Health: judges an object by its own status, from one read of the object. No rule
//! here sends a request or remembers an earlier answer.

mod board;
mod cause;
mod cluster;
mod fields;
mod generic;
mod jobs;
mod pods;
mod rule;
mod rules;
mod storage;
mod verdict;
mod workloads;

pub use board::{Board, Sight, failures_of, listed};
pub use cause::{first_cause, pod_selector, runs_pods};
pub use rules::RuleSet;
pub use verdict::{Health, HealthState};
