//! Inventories: a ConfigMap, or several parts of one when it is full.

mod read;
mod remove;
mod room;
mod stored;
mod write;

pub use read::Listed;
pub(in crate::cluster) use room::Rooms;
pub use room::Taken;
pub use stored::{StoreError, Stored};
pub use write::Hold;
