//! Collections of objects: page by page, followed by watches, and what was seen of them.

pub mod by_name;
pub mod changes;
pub mod named;
pub(super) mod pages;
pub(super) mod refused;
pub mod store;
mod stream;
pub(super) mod watch;
