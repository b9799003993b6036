//! The shape of a command line that kubectl's users know.

use std::any::TypeId;

use clap::{Arg, ArgAction, Command};

use crate::cli::args::value::boolean;

/// Hides clap's `help` below the top level, and lets boolean flags be set to false.
pub(in crate::cli) fn shaped(command: Command) -> Command {
    command.mut_args(switch).mut_subcommands(|below| match below.has_subcommands() {
        true => shaped(below.disable_help_subcommand(true)),
        false => shaped(below),
    })
}

/// A boolean flag takes a value, in all the words of kubectl:
/// `--prune=false`, `--insecure-skip-tls-verify=true`.
fn switch(arg: Arg) -> Arg {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue)
        || arg.get_value_parser().type_id() == TypeId::of::<bool>();
    if !is_switch {
        return arg;
    }
    let arg = match arg.get_default_values() {
        [] => arg.default_value("false").hide_default_value(true),
        [default] if default == "false" => arg.hide_default_value(true),
        _ => arg,
    };
    let arg = arg.action(ArgAction::Set).value_parser(boolean).value_name("BOOL").hide_possible_values(true);
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}
