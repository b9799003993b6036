//! The verbs on releases.

use std::time::Duration;

use clap::Args;

use super::value::duration;
use super::{OutputArgs, PageArgs};

/// `get releases`.
#[derive(Debug, Args)]
pub struct GetReleases {
    /// Only these.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Those of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only those whose labels match, such as team=web or 'team in (web,db)'.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Prints a line for each change after the list, until Ctrl-C.
    #[arg(short = 'w', long)]
    pub watch: bool,
    /// How they are printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `status release`.
#[derive(Debug, Args)]
pub struct StatusRelease {
    /// The release.
    pub name: String,
    /// Ends with exit code 1 unless the release is Ready.
    #[arg(long)]
    pub exit_status: bool,
    /// How it is printed.
    #[command(flatten)]
    pub page: PageArgs,
}

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

/// `reconcile release` and `resume release`.
#[derive(Debug, Args)]
pub struct ReconcileRelease {
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
