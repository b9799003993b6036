//! Who requests runs, and with which policy.

pub mod adopt;
pub mod command_line;
pub mod operator;
