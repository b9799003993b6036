//! The explicit order of a release, by the annotations of its objects: what is applied after what
//! is healthy, and what is deleted after what is gone.

mod graph;
mod sequence;
mod teardown;

pub use sequence::{ExplicitOrder, Stand, Survey};
pub use teardown::{Teardown, TeardownBatch, TeardownState, spared};
