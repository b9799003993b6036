//! How work is repeated: for many objects at once, after a pause, or from the begin.

pub mod parallel;
pub mod poll;
pub mod retry;
