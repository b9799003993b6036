//! How work is repeated: for many objects in parallel, after a pause, or from the start.

pub mod parallel;
pub mod poll;
pub mod retry;
