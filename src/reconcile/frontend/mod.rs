//! Who asks for runs.

pub mod command_line;
pub mod rehearse;
