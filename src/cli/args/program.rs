//! The verbs about the program itself.

use clap::{Args, ValueEnum};

use super::{ClusterArgs, PageArgs};

/// `version`.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden())]
pub struct VersionArgs {
    /// How it is printed.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `completion`.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden())]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `docs`.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden())]
pub struct DocsArgs {
    /// What is printed: all of docs/cli.md, or the tables of docs/metrics.md.
    #[arg(value_enum, default_value = "cli", value_name = "PAGE")]
    pub page: DocsPage,
}

/// What is generated of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DocsPage {
    /// docs/cli.md.
    Cli,
    /// The tables of docs/metrics.md.
    Metrics,
}
