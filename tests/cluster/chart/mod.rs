//! The Helm chart: rendered by the real helm, read by the real API server, and
//! installed with the real binary in the place of its pods.

pub mod helm;
mod life;
mod monitoring;
mod network;
mod plain;
pub mod pods;
mod ports;
mod refusals;
mod rendering;
mod tenants;
