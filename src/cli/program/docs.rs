//! `supercargo docs`: the generated parts of the documentation.

use clap::{Args, Command, ValueEnum};

use super::{health, metrics, reference};
use crate::cli::args::ClusterArgs;
use crate::cli::{CliError, Printer};

/// Print the generated parts of the documentation.
#[derive(Debug, Args)]
#[command(hide = true, args = ClusterArgs::hidden())]
pub struct DocsArgs {
    /// Page to print: docs/cli.md, or the tables of docs/metrics.md or docs/health.md.
    #[arg(value_enum, default_value = "cli", value_name = "PAGE")]
    page: DocsPage,
}

/// A generated page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DocsPage {
    /// docs/cli.md.
    Cli,
    /// The tables of docs/metrics.md.
    Metrics,
    /// The table of docs/health.md.
    Health,
}

impl DocsArgs {
    /// Prints the page.
    ///
    /// # Errors
    /// When it cannot be written to stdout.
    pub(in crate::cli) fn run(&self, root: Command, printer: &mut Printer<'_>) -> Result<(), CliError> {
        match self.page {
            DocsPage::Cli => reference::print(root, printer),
            DocsPage::Metrics => metrics::print(printer),
            DocsPage::Health => health::print(printer),
        }
    }
}
