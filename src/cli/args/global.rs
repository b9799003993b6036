//! What every command takes.

use std::time::Duration;

use clap::{Arg, Args, Command, ValueEnum};

use super::value::duration;

/// Options of the output.
#[derive(Debug, Default, Args)]
pub struct GlobalArgs {
    /// When to colour output; auto: on a terminal unless $NO_COLOR is set, and elsewhere if $CLICOLOR_FORCE is set.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        hide_possible_values = true,
        value_enum,
        default_value_t,
        value_name = "auto|always|never"
    )]
    pub color: ColorChoice,
    /// Time limit of the command, such as 90s or 5m; for a command that waits, time limit of the wait.
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

impl GlobalArgs {
    /// `--timeout`, hidden: for a verb that runs for ever.
    pub(in crate::cli) fn hidden_timeout() -> Option<Arg> {
        let flags = Self::augment_args(Command::new(""));
        let timeout = flags.get_arguments().find(|flag| flag.get_id() == "timeout");
        timeout.map(|flag| flag.clone().hide(true))
    }
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// Depends on the terminal and the environment.
    #[default]
    Auto,
    /// Also in a pipe.
    Always,
    /// Never.
    Never,
}
