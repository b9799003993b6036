//! Signatures, and what they permit.

pub mod admission;
pub mod evidence;
pub mod images;
pub mod pinned;
