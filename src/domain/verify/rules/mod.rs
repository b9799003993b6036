//! Who has to have signed: by the spec of a release, and by the administrator.

pub mod declared;
pub mod images;
pub mod policy;
pub mod trust_policy;
