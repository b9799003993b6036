//! Credentials by workload identity: the identity of the pod is exchanged for credentials
//! of the cloud's registry. One file for each cloud; `credentials/cloud.rs` knows which
//! registries belong to a cloud. `cluster.rs` exchanges the identity of a ServiceAccount for a token of the
//! cloud's API servers.

mod aws;
mod azure;
mod call;
mod cluster;
mod gcp;
mod sigv4;
mod source;

pub use call::Variables;
pub use cluster::{Assertion, WorkloadPool};
pub(in crate::oci) use cluster::{own_pool, token as cluster_token};
pub(super) use source::{Given, Providers};
