//! Who must sign: according to the spec of a release, and to the administrator.

pub mod declared;
pub mod images;
pub mod policy;
pub mod trust_policy;
