//! Tests on a real Kubernetes API server and a real registry.

#![expect(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod admission;
mod artifacts;
mod bed;
mod config;
mod health;
mod install;
mod origins;
mod quiet;
mod registries;
mod scene;
