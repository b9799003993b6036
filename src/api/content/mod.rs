//! What the objects of a release are made from, and what changes them.

pub mod patch;
