//! Strategic merge: a patch looks like the object, with only what changes.

mod directive;
mod lists;
pub(super) mod merge;
mod state;
mod tree;
