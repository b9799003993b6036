//! From a release to an outcome, by phases that take values and give values: what the
//! operator and the command line share.

pub mod adopt;
pub mod cache;
pub mod delete;
mod driver;
pub mod env;
pub mod error;
pub mod frontend;
pub mod live;
mod parallel;
pub mod phase;
mod poll;
pub mod preview;
mod removal;
mod restore;
mod retry;
pub mod revision;
pub mod scope;
pub mod source;
pub mod trust;
