//! The verbs about the program itself.

use clap::Args;

use super::PageArgs;

/// `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// How it is printed.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
