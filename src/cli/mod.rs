//! Arguments to the same calls that the operator makes: `args` is what can be
//! typed, one file per verb does it, and the printer owns stdout and stderr.

pub mod args;
mod bundle;
mod crd;
mod error;
pub mod exit;
mod files;
mod kustomize;
mod login;
mod printer;
mod pull;
mod push;
mod run;
mod sources;

pub use error::CliError;
pub use printer::Printer;
pub use run::{arguments, main};
