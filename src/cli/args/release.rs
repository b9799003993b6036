//! Which releases are meant, and whether to wait for what comes of a request.

use std::time::Duration;

use clap::Args;

use super::value::duration;

/// Which releases.
#[derive(Debug, Args)]
pub struct ReleaseNames {
    /// The releases.
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// All releases of the namespace.
    #[arg(long)]
    pub all: bool,
}

/// What the operator is asked to do now.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// Which releases.
    #[command(flatten)]
    pub which: ReleaseNames,
    /// Waits for what comes of it; --wait=false only asks.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "true|false")]
    pub wait: bool,
    /// How long to wait: 30s, 5m, 1h30m.
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}
