//! The verbs that take over what other tools have applied. Each is one file: its
//! options, its help and what it does.

pub(super) mod flux;
pub(super) mod inventory;
mod narrate;
