//! The contents of registries, and the notifications about them: which tag is meant, which
//! repositories a rule is about, what a push says.

pub mod allowed;
pub mod digest;
pub mod prefix;
pub mod tags;
pub mod version;
mod version_tag;
pub mod wanted;
pub mod webhook;
