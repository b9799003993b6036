//! The metrics of the process. Callers pass values of [`super::labels`], never text; the names of
//! the metrics are known only here.

mod bounds;
pub mod catalog;
mod fleet;
mod make;
mod news;
mod phase_timer;
mod queue;
mod recorder;
mod remote;
mod requests;
mod runs;
mod trust;
mod webhook;

pub use phase_timer::PhaseTimer;
pub use queue::Waiting;
pub use recorder::{Metrics, MetricsError};
pub use runs::HealthWait;
