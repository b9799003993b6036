//! What is seen of the objects in the cluster.

pub mod checkup;
pub mod ended;
pub mod view;
