//! Arguments to the same calls that the operator makes: `args` is what can be
//! typed, one file per verb does it, and the printer owns stdout and stderr.

mod adopt;
pub mod args;
mod bundle;
mod color;
mod connect;
mod crd;
mod credentials;
mod diff_artifact;
mod error;
pub mod exit;
mod fetch;
mod files;
mod inspect_artifact;
mod inventory;
mod kustomize;
mod list;
mod login;
mod output;
mod printer;
mod progress;
mod pull;
mod push;
mod run;
mod sources;
mod table;
mod tag;

pub use error::CliError;
pub use printer::{Look, Printer};
pub use progress::{Bar, Progress};
pub use run::{arguments, main};
