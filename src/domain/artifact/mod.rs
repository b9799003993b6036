//! What is in registries, and how one hears of it: which tag is meant, which repositories
//! a rule is about, what a push says.

pub mod allowed;
pub mod digest;
pub mod prefix;
pub mod tags;
pub mod version;
pub mod webhook;
