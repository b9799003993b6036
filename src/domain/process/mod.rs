//! The environment of the process: its memory, its configuration files, its proxies, and how
//! much of a shared capacity a tenant may use.

pub mod capacity;
pub mod configuration;
pub mod fair;
pub mod proxy;
