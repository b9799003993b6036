//! What people read of a release in the cluster, and how they name its revisions.

pub mod events;
pub mod fields;
pub mod revisions;
pub mod verbs;
