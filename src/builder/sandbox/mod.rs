//! What a build may do: the launcher, which the binary starts of itself, limits and confines itself
//! and becomes the program. What is confined cannot be undone, so nothing of this happens in the
//! process of the operator.

mod files;
mod launcher;
mod order;
mod system_calls;

pub use launcher::{REFUSED, launch};
pub use order::{Confinement, LaunchOrder};
