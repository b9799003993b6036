//! From a release to an outcome, in phases that take and return values. Shared by the operator and
//! the command line.

pub mod cache;
mod driver;
pub mod env;
pub mod error;
mod flow;
pub mod frontend;
pub mod live;
pub mod phase;
mod place;
pub mod preview;
pub mod removal;
mod restore;
pub mod scope;
pub mod source;
pub mod trust;
