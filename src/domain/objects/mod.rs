//! Objects of a cluster: their identity, their manifests, and what is known about those
//! that exist.

pub mod drift;
pub mod identity;
pub mod images;
pub mod live;
pub mod object;
pub mod placement;
pub mod size;
pub mod subjects;
