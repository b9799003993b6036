//! The releases of a command, and whether to wait for the result of a request.

use std::time::Duration;

use clap::Args;

use super::value::duration;

/// Which releases.
#[derive(Debug, Args)]
pub struct ReleaseNames {
    /// Names of the releases.
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// All releases in the namespace.
    #[arg(long)]
    pub all: bool,
}

/// A request to the operator.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// Which releases.
    #[command(flatten)]
    pub which: ReleaseNames,
    /// Wait for the result; --wait=false returns at once.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "true|false")]
    pub wait: bool,
    /// Time limit of the wait, such as 30s, 5m or 1h30m.
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}
