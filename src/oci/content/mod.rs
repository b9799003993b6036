//! Content by digest in this process: the cache on disk, the mirrors, and the memory
//! limits. Nothing here sends a request.

mod cache;
mod mirror;
mod room;

pub(super) use cache::Cache;
pub use cache::{CacheEvent, CacheObserver};
pub use mirror::Mirror;
pub(super) use mirror::{Fault, Mirrors};
pub(super) use room::Rooms;
pub use room::{Queue, Room, Size};
