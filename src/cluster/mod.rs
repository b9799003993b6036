//! The API server, one verb at a time, as one identity. Nothing is decided
//! here; registries are not known here.

pub mod accounts;
pub mod adopt;
pub mod apply;
pub mod browse;
pub mod connection;
mod definitions;
pub mod delete;
pub mod discovery;
pub mod error;
pub mod events;
mod fence;
pub mod inventory;
pub mod lease;
mod pages;
mod plugin;
pub mod releases;
mod review;
pub mod session;
pub mod sources;
pub mod store;
mod transport;
mod watch;

pub use watch::State;
