//! Who asks for runs, and how they want them.

pub mod adopt;
pub mod command_line;
pub mod operator;
