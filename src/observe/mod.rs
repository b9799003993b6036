//! What an operator of Supercargo looks at: metrics, logs, traces and
//! the health endpoints. A leaf: it knows the words of `api` and `domain`, and no room
//! that does the work. Nothing recorded here may hold a Secret's value.

pub mod labels;
mod lines;
pub mod listener;
pub mod logging;
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
pub mod server;
pub mod traces;
