//! How a new revision is delivered: what holds it back, who approves it, the way back, and to which
//! cluster.

pub mod guards;
pub mod kube_config;
pub mod plan;
pub mod rollback;
