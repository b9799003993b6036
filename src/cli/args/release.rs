//! The verbs on releases.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{OutputArgs, PageArgs};
use crate::domain::schedule::parse_duration;

/// What can be looked at closely.
#[derive(Debug, Subcommand)]
pub enum StatusCommand {
    /// Show how a release does, down to the pod that is not ready.
    #[command(aliases = ["releases", "oar", "ociartifactrelease"], long_about = STATUS, after_long_help = STATUS_EXAMPLES)]
    Release(StatusRelease),
}

/// What can be asked to work now.
#[derive(Debug, Subcommand)]
pub enum ReconcileCommand {
    /// Let the operator work on releases now, and wait for what comes of it.
    #[command(visible_alias = "releases", aliases = ["oar", "ociartifactrelease"], long_about = RECONCILE, after_long_help = RECONCILE_EXAMPLES)]
    Release(ReconcileRelease),
}

/// What can be held.
#[derive(Debug, Subcommand)]
pub enum SuspendCommand {
    /// Let the operator leave releases alone until they are resumed.
    #[command(visible_alias = "releases", aliases = ["oar", "ociartifactrelease"], long_about = SUSPEND, after_long_help = SUSPEND_EXAMPLES)]
    Release(ReleaseNames),
}

/// What can be let go on.
#[derive(Debug, Subcommand)]
pub enum ResumeCommand {
    /// Let the operator work on suspended releases again, and wait for what comes of it.
    #[command(visible_alias = "releases", aliases = ["oar", "ociartifactrelease"], long_about = RESUME, after_long_help = RESUME_EXAMPLES)]
    Release(ReconcileRelease),
}

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

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

/// Of `get releases`.
pub(super) const GET: &str = "\
List the releases of a namespace, or of all.

Reads OCIArtifactReleases of the cluster and writes nothing to it. READY is what the release's Ready condition says, REVISION \
the last one of which every object was applied, STATUS the message of the condition. With -o json or yaml the objects \
themselves are printed, as kubectl takes them: one that was asked for by name as it is, several as a List.

Exit codes: 0, also when there are none; 1 when one that was named is not there, or the cluster cannot be asked.";

/// Of `get releases`.
pub(super) const GET_EXAMPLES: &str = "\
Examples:
  # The releases of the current namespace
  supercargo get releases

  # Those of all namespaces, with their source and how many objects they have
  supercargo get releases -A -o wide

  # The names of those that are not ready
  supercargo get releases -A --no-headers | awk '$3 != \"True\" {print $1 \"/\" $2}'

  # A copy for another cluster
  supercargo get releases demo-app -o yaml > demo-app.yaml

  # See what happens while an upgrade goes on
  supercargo get releases --watch";

const STATUS: &str = "\
Show how a release does, down to the pod that is not ready.

Reads the release, its inventory (the ConfigMap inv-NAME) and every object in it, with your own rights: an object that you \
may not read is shown as Unknown. Below a workload that is not ready stand its ReplicaSets and pods, with why they wait. \
Writes nothing to the cluster.

Exit codes: 0, whatever the state of the release; 1 when it is not there or cannot be read. With --exit-status also 1 when \
it is not Ready.";

const STATUS_EXAMPLES: &str = "\
Examples:
  # Why is it not ready?
  supercargo status release demo-app

  # In a script: stop unless it is ready
  supercargo status release demo-app --exit-status

  # The objects that are not as they should be, by jq
  supercargo status release demo-app -o json | jq -r '.objects[] | select(.health != \"Current\") | .object'";

const RECONCILE: &str = "\
Let the operator work on releases now, and wait for what comes of it.

Sets the annotation supercargo.dev/reconcile-at of each release to the present time and waits until its status says that \
the operator has acted on it. A suspended release is worked on once and stays suspended.

Exit codes: 0 when every release is Ready, or was only asked (--wait=false); 1 when one is not Ready, is not there, or the time \
was over; 130 when Ctrl-C ended the wait, which does not end the work of the operator.";

const RECONCILE_EXAMPLES: &str = "\
Examples:
  # Fetch what the tag stands for by now
  supercargo reconcile release demo-app

  # Everything in a namespace, in the background
  supercargo reconcile release --all -n apps --wait=false

  # One that takes long
  supercargo reconcile release demo-app --timeout 20m";

const SUSPEND: &str = "\
Let the operator leave releases alone until they are resumed.

Sets spec.suspend. What is applied stays as it is, also where somebody changes it: drift is not corrected. A run that is under way \
ends first. If the release itself comes out of Git or another release, set spec.suspend there, or it may be set back.

Exit codes: 0 when all are suspended, also those that were; 1 when one is not there or may not be changed.";

const SUSPEND_EXAMPLES: &str = "\
Examples:
  # Change something by hand for a while
  supercargo suspend release demo-app

  # The whole namespace
  supercargo suspend release --all -n apps";

const RESUME: &str = "\
Let the operator work on suspended releases again, and wait for what comes of it.

Sets spec.suspend to false and asks for a run, as reconcile does.

Exit codes: those of reconcile.";

const RESUME_EXAMPLES: &str = "\
Examples:
  # Go on, and see that all is well
  supercargo resume release demo-app

  # Go on without waiting
  supercargo resume release demo-app --wait=false";
