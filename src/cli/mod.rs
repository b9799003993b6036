//! Arguments to the same calls that the operator makes: `args` is what can be
//! typed, one file per verb does it, and the printer owns stdout and stderr.

mod adopt;
pub mod args;
mod completion;
mod crd;
mod diff_artifact;
mod diff_release;
mod docs;
mod error;
mod evidence;
pub mod exit;
mod fetch;
mod images;
mod input;
mod inspect_artifact;
mod interrupt;
mod inventory;
mod list;
mod metrics;
mod print;
mod pull;
mod push;
mod reach;
mod reconcile;
mod releases;
mod root;
mod run;
mod signers;
mod status;
mod tag;
mod tree;
mod verify_artifact;
mod version;

pub use args::ControllerArgs;
pub use error::CliError;
pub use print::color::{Colour, Tone};
pub use print::printer::{Look, Printer};
pub use print::progress::{Bar, Progress};
pub use print::text::{Line, Lines};
pub use root::{Arguments, Command};
pub use run::{arguments, main};
