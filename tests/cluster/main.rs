//! Tests on a real Kubernetes API server and a real registry.

mod bed;
mod config;
