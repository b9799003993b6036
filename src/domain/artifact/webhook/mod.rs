//! Webhooks: who may send one, what it says, and which releases it is about. A
//! webhook is never trusted: all that it can cause is a run that would come by
//! itself at the next interval.

pub mod config;
pub mod follower;
pub mod formats;
pub mod limit;
pub mod push;
pub mod receiver;
mod sender;
