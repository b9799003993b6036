//! From a release to an outcome, by phases that take values and give values: what the
//! operator and the command line share. It knows neither of them.

pub mod adopt;
pub mod cache;
pub mod delete;
pub mod driver;
pub mod env;
pub mod frontend;
pub mod live;
mod parallel;
pub mod phase;
pub mod preview;
mod removal;
mod restore;
pub mod scope;
pub mod source;
