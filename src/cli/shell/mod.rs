//! What stands between a shell and the verbs: completion, flags that take a value as in kubectl, and
//! words that are missing.

pub(super) mod complete;
pub(super) mod missing_noun;
pub(super) mod switches;
