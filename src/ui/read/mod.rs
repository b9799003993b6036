//! What is read when a page asks for it, with the rights of the person.

pub(super) mod compare;
pub(super) mod detail;
pub(super) mod turns;
