//! Who requests runs, and with which policy.

pub mod adopt;
pub mod command_line;
pub mod compare;
pub mod objects;
pub mod operator;
pub mod published;
pub mod requests;
pub mod workshop;
