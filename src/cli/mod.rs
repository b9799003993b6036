//! Arguments to the same calls that the operator makes: `args` is what can be
//! typed, one file per verb does it, and the printer owns stdout and stderr.

pub mod args;
mod bundle;
mod color;
mod connect;
mod crd;
mod error;
pub mod exit;
mod files;
mod inventory;
mod kustomize;
mod login;
mod output;
mod printer;
mod progress;
mod pull;
mod push;
mod run;
mod sources;
mod table;

pub use error::CliError;
pub use printer::{Look, Printer};
pub use progress::{Bar, Progress};
pub use run::{arguments, main};
