//! Many replicas that share the releases: the Lease of each, which ones there are, and how a release
//! goes from one to another.

mod leader;
mod lease;
mod members;
mod moves;
mod table;

pub use leader::{LeaseCandidate, Loss};
pub use lease::{ReplicaLease, label_of};
pub use members::{Members, Membership};
pub use moves::{MoveResult, Moved, carry_out};
pub use table::ReleaseTable;
