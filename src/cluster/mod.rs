//! The API server, one verb at a time, as one identity. This room decides nothing and
//! knows no registries.

pub mod accounts;
pub mod browse;
mod collections;
pub mod error;
pub mod events;
pub mod inventory;
mod kinds;
pub mod lease;
mod objects;
pub mod pods;
pub mod releases;
pub mod review;
pub mod session;
pub mod sources;
pub mod steps;

pub use collections::watch::State;
pub use collections::{by_name, changes, named, store};
pub use kinds::discovery;
pub use objects::{adopt, apply, delete};
pub use session::connection;
