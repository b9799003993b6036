//! How a new revision reaches the cluster, and what keeps it back.

mod arrival;
mod guards;
