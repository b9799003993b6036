//! The command line: arguments for the same calls that the operator makes.
//!
//! `root` is the tree of verbs, and runs each. A verb is one file, in the room
//! of its subject: its options, its help (the comment above them, and
//! examples) and its code. `args` has the options that verbs share, and the
//! printer owns stdout and stderr.

mod adopt;
pub mod args;
mod artifact;
mod error;
pub mod exit;
mod input;
mod interrupt;
mod inventory;
mod print;
mod program;
mod reach;
mod release;
mod root;
mod run;
mod shell;

pub use error::CliError;
pub use print::color::{Colour, Tone};
pub use print::printer::{Look, Printer};
pub use print::progress::{Bar, ProgressBars};
pub use print::text::{Line, Lines};
pub use program::controller::ControllerArgs;
pub use root::{Arguments, CliCommand};
pub use run::{arguments, main};
