//! Observability for people who run Supercargo: metrics, logs, traces and the health endpoints. A
//! leaf: it uses types of `api` and `domain`, and none of the rooms that do the work. Nothing
//! recorded here may have a Secret's value.

mod collector;
pub mod labels;
mod lines;
pub mod listener;
mod log_format;
pub mod logging;
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
pub mod server;
mod span;
pub mod traces;
