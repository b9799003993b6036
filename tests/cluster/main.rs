//! Tests on a real Kubernetes API server and a real registry.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod admission;
mod adoption;
mod adoption_flux;
mod artifacts;
mod bed;
mod cli_releases;
mod config;
mod crashes;
mod decryption;
mod downgrade;
mod drift;
mod going_away;
mod ground;
mod health;
mod image;
mod install;
mod inventories;
mod matrix;
mod origins;
mod outages;
mod ownership;
mod patches;
mod person;
mod pruning;
mod publish;
mod quiet;
mod refusals;
mod registries;
mod replicas;
mod rights;
mod scene;
mod secrecy;
mod setting;
mod shell;
mod signatures;
mod tampering;
mod trust;
mod verifying;
mod waiting;
mod workflow;
