//! What every command takes.

use std::time::Duration;

use clap::{Arg, Args, Command, ValueEnum};

use super::value::duration;

/// How everything is shown.
#[derive(Debug, Default, Args)]
pub struct GlobalArgs {
    /// Whether output is coloured; auto: on a terminal, unless $NO_COLOR is set or $CLICOLOR_FORCE asks for it elsewhere too.
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
    /// The longest time that the command may take, such as 90s or 5m; where it waits for something, the longest time of the wait.
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

impl GlobalArgs {
    /// `--timeout`, hidden: for a verb that has no end.
    pub(in crate::cli) fn hidden_timeout() -> Option<Arg> {
        let flags = Self::augment_args(Command::new(""));
        let timeout = flags.get_arguments().find(|flag| flag.get_id() == "timeout");
        timeout.map(|flag| flag.clone().hide(true))
    }
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// As the terminal and the environment say.
    #[default]
    Auto,
    /// Even in a pipe.
    Always,
    /// Not at all.
    Never,
}
