//! How a new revision reaches the cluster, what keeps it back, and the way back.

mod arrival;
mod begun;
mod frozen;
mod guards;
mod history;
mod meeting;
pub mod plan;
mod replicas;
pub mod rollback;
mod way_back;
