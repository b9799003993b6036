//! Credentials by workload identity: the identity of the pod is exchanged for credentials
//! of the cloud's registry. One file for each cloud; `credentials/cloud.rs` knows which
//! registries belong to a cloud.

mod aws;
mod azure;
mod call;
mod gcp;
mod sigv4;
mod source;

pub use call::Variables;
pub(super) use source::{Given, Providers};
