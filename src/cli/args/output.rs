//! How a list or a page is printed.

use clap::{Args, ValueEnum};

/// kubectl's `-o`, for commands that print a table or a page.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OutputArgs {
    /// Output format; wide adds columns to the table.
    #[arg(
        short = 'o',
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|wide|json|yaml"
    )]
    pub output: Output,
    /// Omit the header row of the table.
    #[arg(long)]
    pub no_headers: bool,
}

/// An output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For people with a wide terminal.
    Wide,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// The same for a command that prints one thing, not a table.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct PageArgs {
    /// Output format (default: text).
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// An output format for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Output {
    /// The format for programs, if it is one.
    pub fn format(self) -> Option<OutputFormat> {
        match self {
            Self::Table | Self::Wide => None,
            Self::Json => Some(OutputFormat::Json),
            Self::Yaml => Some(OutputFormat::Yaml),
        }
    }
}
