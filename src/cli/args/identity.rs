//! Keys of encrypted artifacts.

use std::path::PathBuf;

use clap::Args;

/// Keys of encrypted artifacts.
#[derive(Debug, Default, Args)]
pub struct IdentityArgs {
    /// File with private keys (AGE-SECRET-KEY-1…), one per line, to decrypt artifacts.
    #[arg(long, value_name = "FILE")]
    pub age_identities: Option<PathBuf>,
}
