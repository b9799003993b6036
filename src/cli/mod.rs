//! Arguments to the same calls that the operator makes: `args` is what can be
//! typed, one file per verb does it, and the printer owns stdout and stderr.

mod adopt;
mod age;
pub mod args;
mod bundle;
mod color;
mod completion;
mod connect;
mod crd;
mod credentials;
mod diff_artifact;
mod docs;
mod error;
mod evidence;
pub mod exit;
mod fetch;
mod files;
mod images;
mod inspect_artifact;
mod interrupt;
mod inventory;
mod kustomize;
mod list;
mod login;
mod metrics;
mod output;
mod printer;
mod progress;
mod pull;
mod push;
mod reconcile;
mod releases;
mod run;
mod signers;
mod sources;
mod status;
mod table;
mod tag;
mod tree;
mod verify_artifact;
mod version;

pub use color::{Colour, Tone};
pub use error::CliError;
pub use printer::{Look, Printer};
pub use progress::{Bar, Progress};
pub use run::{arguments, main};
