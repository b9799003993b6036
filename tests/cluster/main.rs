//! Tests on a real Kubernetes API server and a real registry.

#![expect(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod artifacts;
mod bed;
mod config;
mod drift;
mod going_away;
mod health;
mod rights;
mod scene;
