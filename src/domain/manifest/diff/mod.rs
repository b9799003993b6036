//! What differs between two versions of an object, for people to read: without what
//! only the server writes, and without any value of a Secret.

mod changes;
mod hunks;
mod secrets;
mod unified;
mod weight;

pub use changes::{ChangeKind, SubjectChange, subject_changes};
pub use unified::{clean, unified};
pub use weight::weight;
