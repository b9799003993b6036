//! Inventories: a ConfigMap, or several parts of one when it is full.

mod config_map;
mod error;
mod plan;
mod read;
mod remove;
mod room;
mod stored;
mod write;

pub use error::StoreError;
pub use plan::{SECRET_BYTES, StoredPlan, plan_name};
pub use read::Listed;
pub use room::{InventoryRooms, Taken};
pub use stored::Stored;
pub use write::FinalizerPolicy;
