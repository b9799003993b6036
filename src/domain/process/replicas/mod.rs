//! Which replica works on which release: the replicas, the spreading of releases over them, and what
//! one replica has to do about a release.

mod duty;
mod spread;
mod times;

pub use duty::{Duty, ReplicaState, duty};
pub use spread::{Replica, Replicas, ShardKey};
pub use times::{LEASE_SECONDS, LONGEST_LEASE_SECONDS, LeaseTimes};
