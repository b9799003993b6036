//! The verbs that adopt objects that other tools applied. Each is one file: its
//! options, its help and its code.

pub(super) mod flux;
pub(super) mod inventory;
mod narrate;
