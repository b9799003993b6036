//! Acquire, decide, execute: what the operator and the command line share. It
//! knows neither of them.

pub mod acquire;
pub mod adopt;
pub mod claims;
mod conclude;
pub mod context;
pub mod depart;
mod drift;
mod execute;
mod finalize;
mod health;
pub mod images;
pub mod local;
mod parallel;
mod preflight;
pub mod preview;
pub mod progress;
mod prune;
pub mod run;
pub mod signals;
mod terminating;
pub mod trust;
mod view;
mod work;

pub use finalize::Farewell;
