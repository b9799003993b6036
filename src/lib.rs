//! Supercargo: configuration artifacts in OCI registries become healthy, owned
//! and pruned objects in a Kubernetes cluster.
//!
//! The rooms, from the edge inwards: `cli` and `controller` turn arguments and
//! watches into runs of `reconcile`; `oci` and `cluster` do one network verb
//! at a time; `builder` runs the programs of others that make manifests; `domain`
//! decides, purely; `notify` tells receivers what became of releases; `api` is the wire contract. `observe`
//! holds metrics, logging and the health endpoints. `tests/tidy.rs` checks that
//! no room reaches past its doors, which docs/architecture.md describes.

pub mod api;
pub mod builder;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod domain;
pub mod egress;
pub mod fair;
pub mod notify;
pub mod observe;
pub mod oci;
pub mod reconcile;
pub mod ui;
