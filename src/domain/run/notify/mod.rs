//! Notifications: what of a release is news, which receivers want it, whether they have it already, and in
//! which words each of them gets it. The room `notify` sends them.

pub mod commit;
pub mod config;
pub mod declared;
pub mod format;
pub mod hosts;
pub mod interest;
pub mod news;
pub mod receiver;
pub mod record;
pub mod reply;
pub mod situation;
pub mod template;
