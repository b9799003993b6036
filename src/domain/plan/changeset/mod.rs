//! What a revision would change in the cluster, object by object, for a person who approves it:
//! with masked values, and a hash that covers all of it.

mod change;
mod compared;
mod fields;
mod hash;
mod report;
mod seal;
mod sensitive;
mod token;

pub use change::{ChangeSet, FieldChange, HANDED_OVER, PlanAction, PlanChange};
pub use compared::Compared;
pub use hash::PlanInputs;
pub use report::{KnownChanges, PlanDetail, changes_digest, differences_since, entries, is_left_of};
pub use seal::PlanKey;
pub use sensitive::{SensitivePaths, check_annotation};
pub use token::PlanToken;
