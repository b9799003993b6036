//! What the process has to work with: its memory, its files of settings, its proxies, and
//! who may have how much of what all share.

pub mod capacity;
pub mod configuration;
pub mod fair;
pub mod proxy;
