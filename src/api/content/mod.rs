//! What the objects of a release are made from, and what changes them.

pub mod helm;
pub mod layers;
pub mod patch;
pub mod post_build;
