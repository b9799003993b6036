//! The environment of the process: its memory, its configuration files, its proxies, and how
//! much of a shared capacity a tenant may use, and where a host is on the network.
//! Also which other clusters it may reach, how much a namespace may have, and which replica does which
//! part of the work.

pub mod capacity;
pub mod configuration;
pub mod fair;
pub mod kept;
pub mod proxy;
pub mod quota;
pub mod remote;
pub mod replicas;
pub mod zone;
