//! How a command reaches other machines: from its flags and the
//! environment to a cluster, or to a registry with its credentials.

pub(super) mod connect;
mod credentials;
pub(super) mod login;
