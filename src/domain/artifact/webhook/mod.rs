//! Webhooks: who may send one, what it says, and which releases it is about. A
//! webhook is never trusted: it can only start a run that would also happen at the
//! next interval.

pub mod config;
pub mod follower;
pub mod formats;
pub mod limit;
pub mod push;
pub mod receiver;
mod sender;
