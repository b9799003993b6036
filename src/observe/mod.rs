//! What an operator of Supercargo looks at: metrics, logs, traces and
//! the health endpoints. A leaf: it knows the words of `api` and `domain`, and no room
//! that does the work. Nothing recorded here may hold a Secret's value.

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
