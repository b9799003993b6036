//! The command as a whole.

use std::any::TypeId;

use clap::{Arg, ArgAction, Args, Command as Clap, CommandFactory, Parser, Subcommand};

use super::pages::written;
use super::value::boolean;
use super::{
    AdoptCommand, Apply, Build, ClusterArgs, CompletionArgs, ControllerArgs, Delete, Diff, DocsArgs,
    GetInventories, GetReleases, GlobalArgs, InspectArtifact, InspectInventory, ListCommand, PullCommand,
    PushCommand, ReconcileCommand, ResumeCommand, StatusCommand, SuspendCommand, TagCommand, VerifyCommand,
    VersionArgs,
};

/// What [`super::super::exit`] fixes, for people.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, stderr says why; 2 the arguments make no sense; \
                          130 ended by Ctrl-C.";

/// Verbs, or a verb and its noun, that talk to no cluster: their help does not
/// show how to reach one. The flags are accepted all the same, as kubectl does.
const WITHOUT_CLUSTER: &[&str] = &[
    "completion",
    "build",
    "controller",
    "crd",
    "diff artifact",
    "docs",
    "inspect artifact",
    "list",
    "pull",
    "push",
    "tag",
    "verify",
    "version",
];

/// Configuration artifacts for Kubernetes, in OCI registries.
#[derive(Debug, Parser)]
#[command(name = "supercargo", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How everything is shown. Before the cluster: a heading holds for all after it.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Upload to a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Push(PushCommand),
    /// Download from a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Pull(PullCommand),
    /// Put tags on what is in a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Tag(TagCommand),
    /// List what is in a registry.
    #[command(subcommand, arg_required_else_help = true)]
    List(ListCommand),
    /// Verify signatures of what is in a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Verify(VerifyCommand),
    /// Build manifests and print them, or push them.
    Build(Build),
    /// Apply manifests to a cluster, recorded in an inventory.
    Apply(Apply),
    /// Compare manifests with the cluster.
    Diff(Diff),
    /// Delete everything that an inventory names.
    Delete(Delete),
    /// List what is in a cluster.
    #[command(subcommand, arg_required_else_help = true)]
    Get(GetCommand),
    /// Look into something.
    #[command(subcommand, arg_required_else_help = true)]
    Inspect(InspectCommand),
    /// Take over what other tools have applied, without a change to what runs.
    #[command(subcommand, arg_required_else_help = true)]
    Adopt(AdoptCommand),
    /// Show how something in the cluster does.
    #[command(subcommand, arg_required_else_help = true)]
    Status(StatusCommand),
    /// Let the operator work now.
    #[command(subcommand, arg_required_else_help = true)]
    Reconcile(ReconcileCommand),
    /// Let the operator leave something alone.
    #[command(subcommand, arg_required_else_help = true)]
    Suspend(SuspendCommand),
    /// Let the operator go on with what was suspended.
    #[command(subcommand, arg_required_else_help = true)]
    Resume(ResumeCommand),
    /// Print the CustomResourceDefinition of OCIArtifactRelease as YAML.
    Crd,
    /// Run the operator in a cluster.
    Controller(ControllerArgs),
    /// Print a script that lets a shell complete verbs and flags.
    Completion(CompletionArgs),
    /// Print the version of this program.
    Version(VersionArgs),
    /// Print what is generated of the documentation.
    #[command(hide = true)]
    Docs(DocsArgs),
}

/// What can be listed.
#[derive(Debug, Subcommand)]
pub enum GetCommand {
    /// List inventories.
    #[command(visible_aliases = ["inventory", "inv"])]
    Inventories(GetInventories),
    /// List the releases of a namespace, or of all.
    #[command(visible_alias = "release", aliases = ["oar", "ociartifactreleases", "ociartifactrelease"])]
    Releases(GetReleases),
}

/// What can be looked into.
#[derive(Debug, Subcommand)]
pub enum InspectCommand {
    /// Print what an inventory names.
    #[command(visible_alias = "inv")]
    Inventory(InspectInventory),
    /// Print what is in an artifact.
    Artifact(Box<InspectArtifact>),
}

/// The command under the name that it was called by, if that is not its own.
pub fn command(called: Option<&'static str>) -> Clap {
    let command = shaped(Arguments::command(), "");
    match called {
        Some(name) => command.bin_name(name),
        None => command,
    }
}

/// Adds what is to be said of each command, and hides the cluster flags where
/// they mean nothing, and clap's `help` anywhere but at the top.
fn shaped(command: Clap, path: &str) -> Clap {
    let mut command = written(command, path);
    if WITHOUT_CLUSTER.contains(&path) {
        let flags = ClusterArgs::augment_args(Clap::new(""));
        // clap hands a global flag down to where there is none of its name.
        let hidden: Vec<_> = flags.get_arguments().map(|flag| flag.clone().hide(true)).collect();
        command = command.args(hidden);
    }
    if path == "controller" {
        // It has no end.
        let flags = GlobalArgs::augment_args(Clap::new(""));
        let hidden: Vec<_> =
            flags.get_arguments().filter(|flag| flag.get_id() == "timeout").cloned().collect();
        command = command.args(hidden.into_iter().map(|flag| flag.hide(true)));
    }
    if !path.is_empty() && command.has_subcommands() {
        command = command.disable_help_subcommand(true);
    }
    command.mut_args(switch).mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        shaped(below, path.trim_start())
    })
}

/// A flag that is on or off may say so, in all the words of kubectl's:
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

#[cfg(test)]
mod tests {
    use super::*;

    fn help(arguments: &[&str]) -> String {
        let all = ["supercargo"].iter().chain(arguments);
        command(None).try_get_matches_from(all).unwrap_err().to_string()
    }

    #[test]
    fn the_arguments_are_consistent() {
        command(None).debug_assert();
    }

    #[test]
    fn help_shows_the_flags_of_clusters_where_they_mean_something() {
        let check = |arguments: &[&str], expected: bool| {
            assert_eq!(help(arguments).contains("--kubeconfig"), expected, "{arguments:?}");
        };
        check(&["-h"], true);
        check(&["push", "artifact", "-h"], false);
        check(&["push", "-h"], false);
        check(&["help", "pull", "artifact"], false);
    }

    #[test]
    fn flags_of_clusters_stand_anywhere() {
        let check = |arguments: &[&str]| {
            let all = ["supercargo"].iter().chain(arguments);
            let matches = command(None).try_get_matches_from(all).unwrap();
            let parsed = <Arguments as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
            assert_eq!(parsed.cluster.namespace.as_deref(), Some("x"), "{arguments:?}");
        };
        check(&["-n", "x", "crd"]);
        check(&["crd", "-n", "x"]);
        check(&["crd", "--namespace=x"]);
        check(&["pull", "-nx", "artifact", "oci://a/b"]);
        check(&["pull", "artifact", "oci://a/b", "-n", "x"]);
    }

    #[test]
    fn flags_take_kubectls_forms() {
        let parse = |arguments: &[&str]| {
            let matches = command(None).try_get_matches_from(["supercargo"].iter().chain(arguments))?;
            <Arguments as clap::FromArgMatches>::from_arg_matches(&matches)
        };
        let check = |arguments: &[&str], verify: bool, all: bool, headers: bool| {
            let parsed = parse(arguments).unwrap();
            let Command::Get(GetCommand::Releases(get)) = parsed.command else { panic!("{arguments:?}") };
            let found =
                (!parsed.cluster.insecure_skip_tls_verify, get.all_namespaces, !get.output.no_headers);
            assert_eq!(found, (verify, all, headers), "{arguments:?}");
        };
        check(&["get", "releases"], true, false, true);
        check(&["--insecure-skip-tls-verify=true", "get", "releases", "-A=true"], false, true, true);
        check(&["get", "releases", "--insecure-skip-tls-verify", "--no-headers=1"], false, false, false);
        check(
            &["get", "releases", "--insecure-skip-tls-verify=False", "--all-namespaces=T"],
            true,
            true,
            true,
        );
        check(&["get", "releases", "-Aw"], true, true, true);
        check(&["get", "releases", "-A", "web"], true, true, true);
        assert!(parse(&["get", "releases", "-A=maybe"]).is_err());
        let timeout = |arguments: &[&str]| {
            let parsed = parse(arguments).unwrap();
            let own = match parsed.command {
                Command::Apply(apply) => Some(apply.options.timeout),
                _ => None,
            };
            (parsed.global.timeout.map(|t| t.as_secs()), own.map(|t| t.as_secs()))
        };
        assert_eq!(timeout(&["get", "releases"]), (None, None));
        assert_eq!(timeout(&["--timeout", "1m30s", "get", "releases"]), (Some(90), None));
        assert_eq!(timeout(&["push", "artifact", "oci://a/b:1", "--timeout=5s"]), (Some(5), None));
        assert_eq!(timeout(&["apply", "-i", "x", "-f", "-"]).1, Some(60));
        assert_eq!(timeout(&["apply", "-i", "x", "-f", "-", "--timeout", "5s"]).1, Some(5));
        assert_eq!(timeout(&["--timeout", "5s", "apply", "-i", "x", "-f", "-"]).1, Some(5));
    }

    #[test]
    fn a_plugin_is_called_as_kubectl_calls_it() {
        let usage = command(Some("kubectl supercargo")).render_usage().to_string();
        assert_eq!(usage, "Usage: kubectl supercargo [OPTIONS] <COMMAND>");
    }
}
