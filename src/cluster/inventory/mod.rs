//! Inventories: a ConfigMap, or several parts of one when it is full.

mod read;
mod remove;
mod stored;
mod write;

pub use read::Listed;
pub use stored::{StoreError, Stored};
pub use write::Hold;
