//! Watches and time become runs of the pipeline: triggers, backoff, finalizer,
//! leadership. It decides nothing about objects.

mod actor;
mod board;
mod engine;
mod error;
mod floor;
mod leader;
mod log;
mod options;
mod report;
mod start;

pub use error::{ControllerError, PolicyError};
pub use options::Options;
pub use start::run;
