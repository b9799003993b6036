//! The HTML of the page. Each file is a view; `parts` has what they share. Text of others is written by `said`
//! alone: it is escaped, and controls neither the page nor the direction of its text.

pub(super) mod compare;
pub(super) mod confirm;
pub(super) mod fleet;
pub(super) mod frame;
pub(super) mod parts;
pub(super) mod problem;
pub(super) mod release;
pub(super) mod releases;
mod sections;
pub(super) mod wrong;
