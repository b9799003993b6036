//! Turns watches and time into runs: triggers, backoff, finalizer, leadership. It decides nothing
//! about objects.

mod actor;
mod engine;
mod error;
mod files;
mod health_watch;
mod latest;
mod lead;
mod log;
mod options;
mod parts;
mod receiver;
mod replicas;
mod report;
mod specs;
mod start;

pub use error::{ControllerError, FileError};
pub use options::{BuildFlags, Options, Shards, WebhookOptions};
pub use parts::SharedParts;
pub use start::{capacity, prepare, run};
