//! Content by digest in this process: what is kept of it on disk and for whom, where it
//! is read first, how much of it may be in memory. Nothing here sends a request.

mod cache;
mod mirror;
mod room;

pub(super) use cache::Cache;
pub use cache::{CacheEvent, CacheObserver};
pub use mirror::Mirror;
pub(super) use mirror::{Fault, Mirrors};
pub(super) use room::Rooms;
pub use room::{Queue, Room, Size};
