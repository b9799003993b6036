//! Early verdicts: what pods say before their workload says it, how an object's failure
//! is handled, and when nothing happens any more.

pub mod handling;
pub(super) mod merge;
pub mod owned;
pub mod progress;
pub mod report;
