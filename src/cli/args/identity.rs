//! What encrypted artifacts are read with.

use std::path::PathBuf;

use clap::Args;

/// What encrypted artifacts are read with.
#[derive(Debug, Default, Args)]
pub struct IdentityArgs {
    /// A file of private keys (AGE-SECRET-KEY-1…), one a line, for artifacts that are encrypted.
    #[arg(long, value_name = "FILE")]
    pub age_identities: Option<PathBuf>,
}
