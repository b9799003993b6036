//! Credentials by workload identity: what the pod is in its cloud is traded for
//! what the cloud's registry takes. One file a cloud; which registries are a
//! cloud's is said in `credentials/cloud.rs`.

mod aws;
mod azure;
mod call;
mod gcp;
mod sigv4;
mod source;

pub use call::Variables;
pub(super) use source::{Given, Providers};
