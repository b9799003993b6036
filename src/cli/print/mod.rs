//! What a person or a program reads: data on stdout, talk on stderr, and how
//! either of them looks.

pub(super) mod age;
pub(super) mod color;
pub(super) mod difference;
pub(super) mod output;
pub(super) mod printer;
pub(super) mod progress;
pub(super) mod subjects;
pub(super) mod table;
pub(super) mod text;
