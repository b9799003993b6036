//! What a run does, decided before anything is written: what is applied and in which
//! order, what a refusal means, what may be deleted.

mod build;
pub mod changeset;
pub mod delegated;
mod existing;
pub mod losses;
#[cfg(test)]
mod nothing;
mod once;
pub mod order;
pub mod preflight;
pub mod prune;
pub mod recreate;
pub mod removal;
pub mod stage;
pub mod steps;

pub use build::{
    Action, ApplyMode, Conflict, Correction, Leaving, Live, Plan, Purpose, Step, apply_mode, build,
    defined_kinds, leaving, set_owner_labels,
};
pub use existing::{Existing, Standing};
pub use once::{Once, in_waves, set_apart};
