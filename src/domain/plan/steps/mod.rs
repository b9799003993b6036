//! Steps: objects that run to an end, once for a revision. Which objects they are, what keeps
//! them from running or going too early, and what is done with each next.

mod hold;
mod ledger;
mod live;
mod next;
mod policy;

pub use hold::Hold;
pub use ledger::{id_of, is_about, put, record_of};
pub use live::{LiveState, LiveStep, run_name};
pub use next::{StepAction, StepFacts, next, of_older};
pub use policy::{StepCleanup, StepPolicy, completes, refused};
