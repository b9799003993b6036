//! Tests on a real Kubernetes API server and a real registry.

#![expect(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod artifacts;
mod bed;
mod config;
mod crashes;
mod health;
mod outages;
mod replicas;
mod ownership;
mod pruning;
mod refusals;
mod scene;
mod waiting;
