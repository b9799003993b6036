//! Watches and time become runs of the pipeline: triggers, backoff, finalizer,
//! leadership. It decides nothing about objects.

mod actor;
mod engine;
mod error;
mod floor;
mod leader;
mod options;
mod report;
mod start;

pub use error::{ControllerError, PolicyError};
pub use options::Options;
pub use start::run;
