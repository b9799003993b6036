//! Objects of a cluster: what they are called, what their manifests say, and what is known
//! of those that are there.

pub mod drift;
pub mod identity;
pub mod images;
pub mod live;
pub mod object;
pub mod size;
