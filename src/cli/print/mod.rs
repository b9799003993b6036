//! The output: data on stdout, messages on stderr, and how
//! they look.

pub(super) mod changes;
pub(super) mod color;
pub(super) mod difference;
pub(super) mod follow;
pub(super) mod jsonpath;
pub(super) mod output;
pub(super) mod printer;
pub(super) mod progress;
pub(super) mod table;
pub(super) mod text;
