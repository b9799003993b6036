//! Hermetic tests: no cluster, no real registry, loopback only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod cli;
mod cli_artifacts;
mod cli_examples;
mod cli_output;
mod cli_proxy;
mod cli_verify;
mod cloud_clusters;
mod fuzz_corpus;
mod health;
mod images;
mod keyless;
mod liar;
mod oci_cache;
mod oci_evidence;
mod oci_habits;
mod oci_hostile;
mod oci_http;
mod oci_mirrors;
mod oci_providers;
mod oci_push;
mod oci_reach;
mod oci_resume;
mod oci_transport;
mod packaging;
mod patches;
mod renovate;
mod secure;
mod several;
mod signatures;
mod substitution;
mod tampering;
mod webhooks;
mod yaml;
