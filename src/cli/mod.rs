//! Arguments to the same calls that the operator makes: `args` is what can be
//! typed, one file per verb does it, and the printer owns stdout and stderr.

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

pub use error::CliError;
pub use print::color::{Colour, Tone};
pub use print::printer::{Look, Printer};
pub use print::progress::{Bar, Progress};
pub use print::text::{Line, Lines};
pub use program::controller::ControllerArgs;
pub use root::{Arguments, Command};
pub use run::{arguments, main};
