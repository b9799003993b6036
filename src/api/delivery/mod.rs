//! How a new revision is delivered: what holds it back, who approves it, the way back, to which cluster,
//! and who has been notified.

pub mod guards;
pub mod kube_config;
pub mod notified;
pub mod notify;
pub mod plan;
pub mod rollback;
