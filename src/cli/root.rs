//! The command as a whole: which verbs and nouns there are, and what runs each.
//! A verb without a comment here has its help next to its options.

use clap::{Args, Command as Clap, CommandFactory, Parser, Subcommand};

use super::adopt::flux::AdoptFluxKustomization;
use super::adopt::inventory::AdoptInventory;
use super::args::{ClusterArgs, GlobalArgs};
use super::artifact::diff::DiffArtifact;
use super::artifact::inspect::InspectArtifact;
use super::artifact::list::ListArtifacts;
use super::artifact::pull::PullArtifact;
use super::artifact::push::PushArtifact;
use super::artifact::tag::TagArtifact;
use super::artifact::verify::VerifyArtifact;
use super::inventory::apply::Apply;
use super::inventory::build::Build;
use super::inventory::delete::Delete;
use super::inventory::diff::{DiffInventory, DiffNamedInventory};
use super::inventory::get::GetInventories;
use super::inventory::health::HealthArgs;
use super::inventory::inspect::InspectInventory;
use super::inventory::plan::PlanInventory;
use super::program::{
    completion::CompletionArgs, controller::ControllerArgs, crd::CrdArgs, docs::DocsArgs, ui::UiArgs,
    version::VersionArgs,
};
use super::release::approve::ApproveRelease;
use super::release::diff::DiffRelease;
use super::release::get::GetReleases;
use super::release::history::HistoryRelease;
use super::release::plan::PlanRelease;
use super::release::reconcile::ReconcileRelease;
use super::release::resume::ResumeRelease;
use super::release::rollback::RollbackRelease;
use super::release::running::events::EventsRelease;
use super::release::running::logs::LogsRelease;
use super::release::status::StatusRelease;
use super::release::suspend::SuspendRelease;
use super::shell::switches::shaped;
use super::{CliError, Printer};

/// What [`super::exit`] fixes, for people.
const EXIT_CODES: &str = "Exit codes: 0 success; 1 failure, see stderr; 2 invalid usage; \
                          130 interrupted by Ctrl-C.";

/// Manage Kubernetes configuration artifacts in OCI registries.
#[derive(Debug, Parser)]
#[command(name = "supercargo", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: CliCommand,
    /// How everything is shown. Before the cluster: a heading holds for all after it.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a comment here would take the place of the help next to the options")]
pub enum CliCommand {
    /// Push artifacts to a registry.
    #[command(subcommand, arg_required_else_help = true, args = ClusterArgs::hidden())]
    Push(PushCommand),
    /// Pull artifacts from a registry.
    #[command(subcommand, arg_required_else_help = true, args = ClusterArgs::hidden())]
    Pull(PullCommand),
    /// Tag artifacts in a registry.
    #[command(subcommand, arg_required_else_help = true, args = ClusterArgs::hidden())]
    Tag(TagCommand),
    /// List artifacts in a registry.
    #[command(subcommand, arg_required_else_help = true, args = ClusterArgs::hidden())]
    List(ListCommand),
    /// Verify signatures of artifacts in a registry.
    #[command(subcommand, arg_required_else_help = true, args = ClusterArgs::hidden())]
    Verify(VerifyCommand),
    Build(Box<Build>),
    Apply(Box<Apply>),
    Diff(Box<Diff>),
    Plan(Box<PlanVerb>),
    /// Approve the plan of a release.
    #[command(subcommand, arg_required_else_help = true)]
    Approve(ApproveCommand),
    Delete(Delete),
    Health(HealthArgs),
    /// List releases or inventories in a cluster.
    #[command(subcommand, arg_required_else_help = true)]
    Get(GetCommand),
    /// Show the content of an inventory or an artifact.
    #[command(subcommand, arg_required_else_help = true)]
    Inspect(InspectCommand),
    /// Adopt objects that other tools applied, without restarting workloads.
    #[command(subcommand, arg_required_else_help = true)]
    Adopt(AdoptCommand),
    /// Show the status of a release.
    #[command(subcommand, arg_required_else_help = true)]
    Status(StatusCommand),
    /// Show the events of a release.
    #[command(subcommand, arg_required_else_help = true)]
    Events(EventsCommand),
    /// Print the logs of what a release runs.
    #[command(subcommand, arg_required_else_help = true)]
    Logs(LogsCommand),
    /// Show the last revisions of a release.
    #[command(subcommand, arg_required_else_help = true)]
    History(HistoryCommand),
    /// Pin a release to an earlier revision.
    #[command(subcommand, arg_required_else_help = true)]
    Rollback(RollbackCommand),
    /// Reconcile releases now.
    #[command(subcommand, arg_required_else_help = true)]
    Reconcile(ReconcileCommand),
    /// Suspend reconciliation.
    #[command(subcommand, arg_required_else_help = true)]
    Suspend(SuspendCommand),
    /// Resume reconciliation.
    #[command(subcommand, arg_required_else_help = true)]
    Resume(ResumeCommand),
    Ui(UiArgs),
    Crd(CrdArgs),
    Controller(Box<ControllerArgs>),
    Completion(CompletionArgs),
    Version(VersionArgs),
    Docs(DocsArgs),
}

/// What can be uploaded.
#[derive(Debug, Subcommand)]
pub enum PushCommand {
    Artifact(PushArtifact),
}

/// What can be downloaded.
#[derive(Debug, Subcommand)]
pub enum PullCommand {
    Artifact(PullArtifact),
}

/// What can be tagged.
#[derive(Debug, Subcommand)]
pub enum TagCommand {
    Artifact(TagArtifact),
}

/// What can be listed in a registry.
#[derive(Debug, Subcommand)]
pub enum ListCommand {
    #[command(visible_alias = "artifact")]
    Artifacts(ListArtifacts),
}

/// What can be verified.
#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    Artifact(VerifyArtifact),
}

// Without a comment: it has the help of `DiffInventory`, which it runs without a noun.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Diff {
    /// With a noun.
    #[command(subcommand)]
    noun: Option<DiffNoun>,
    /// Without it.
    #[command(flatten)]
    inventory: DiffInventory,
}

/// What is compared.
#[derive(Debug, Subcommand)]
pub enum DiffNoun {
    Artifact(Box<DiffArtifact>),
    #[command(aliases = ["oar", "ociartifactrelease"])]
    Release(DiffRelease),
    #[command(visible_alias = "inv")]
    Inventory(Box<DiffNamedInventory>),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct PlanVerb {
    #[command(subcommand)]
    noun: Option<PlanNoun>,
    #[command(flatten)]
    inventory: PlanInventory,
}

/// What has a plan.
#[derive(Debug, Subcommand)]
pub enum PlanNoun {
    #[command(aliases = ["oar", "ociartifactrelease"])]
    Release(PlanRelease),
}

/// What can be approved.
#[derive(Debug, Subcommand)]
pub enum ApproveCommand {
    #[command(aliases = ["oar", "ociartifactrelease"])]
    Release(ApproveRelease),
}

/// What can be listed.
#[derive(Debug, Subcommand)]
pub enum GetCommand {
    #[command(visible_aliases = ["inventory", "inv"])]
    Inventories(GetInventories),
    #[command(visible_alias = "release", aliases = ["oar", "ociartifactreleases", "ociartifactrelease"])]
    Releases(GetReleases),
}

/// What can be inspected.
#[derive(Debug, Subcommand)]
pub enum InspectCommand {
    #[command(visible_alias = "inv")]
    Inventory(InspectInventory),
    Artifact(Box<InspectArtifact>),
}

/// What can be adopted.
#[derive(Debug, Subcommand)]
pub enum AdoptCommand {
    #[command(visible_alias = "inv")]
    Inventory(AdoptInventory),
    /// Adopt objects that Flux applied.
    #[command(subcommand, arg_required_else_help = true)]
    Flux(AdoptFlux),
}

/// `adopt flux`.
#[derive(Debug, Subcommand)]
pub enum AdoptFlux {
    #[command(visible_alias = "ks")]
    Kustomization(AdoptFluxKustomization),
}

/// What has a status.
#[derive(Debug, Subcommand)]
pub enum StatusCommand {
    #[command(aliases = ["releases", "oar", "ociartifactrelease"])]
    Release(StatusRelease),
}

/// What has events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    #[command(aliases = ["releases", "oar", "ociartifactrelease"])]
    Release(EventsRelease),
}

/// What has logs.
#[derive(Debug, Subcommand)]
pub enum LogsCommand {
    #[command(aliases = ["releases", "oar", "ociartifactrelease"])]
    Release(LogsRelease),
}

/// What has a history.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    #[command(aliases = ["releases", "oar", "ociartifactrelease"])]
    Release(HistoryRelease),
}

/// What can be rolled back.
#[derive(Debug, Subcommand)]
pub enum RollbackCommand {
    #[command(aliases = ["releases", "oar", "ociartifactrelease"])]
    Release(RollbackRelease),
}

/// What can be reconciled now.
#[derive(Debug, Subcommand)]
pub enum ReconcileCommand {
    #[command(visible_alias = "releases", aliases = ["oar", "ociartifactrelease"])]
    Release(ReconcileRelease),
}

/// What can be suspended.
#[derive(Debug, Subcommand)]
pub enum SuspendCommand {
    #[command(visible_alias = "releases", aliases = ["oar", "ociartifactrelease"])]
    Release(SuspendRelease),
}

/// What can be resumed.
#[derive(Debug, Subcommand)]
pub enum ResumeCommand {
    #[command(visible_alias = "releases", aliases = ["oar", "ociartifactrelease"])]
    Release(ResumeRelease),
}

impl Diff {
    async fn run(self, cluster: &ClusterArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
        match self.noun {
            Some(DiffNoun::Artifact(diff)) => diff.run(printer).await,
            Some(DiffNoun::Release(diff)) => diff.run(cluster, printer).await,
            Some(DiffNoun::Inventory(diff)) => diff.run(cluster, printer).await,
            None => self.inventory.run(cluster, printer).await,
        }
    }
}

impl PlanVerb {
    async fn run(self, cluster: &ClusterArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Some(PlanNoun::Release(plan)) = self.noun else {
            return self.inventory.run(cluster, printer).await;
        };
        plan.run(cluster, printer).await
    }
}

impl CliCommand {
    /// Runs a verb that needs only its arguments: no runtime is started for it.
    pub(super) fn at_once(&self, printer: &mut Printer<'_>) -> Option<Result<(), CliError>> {
        match self {
            Self::Crd(crd) => Some(crd.run(printer)),
            Self::Health(health) => Some(health.run(printer)),
            Self::Version(version) => Some(version.run(printer)),
            Self::Completion(completion) => Some(completion.run(printer)),
            Self::Docs(docs) => Some(docs.run(command(None), printer)),
            // The binary starts it before this is called.
            Self::Controller(_) => Some(Err(CliError::Usage("the binary starts the controller".into()))),
            _ => None,
        }
    }

    /// Runs every other verb.
    pub(super) async fn run(self, cluster: &ClusterArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
        match self {
            Self::Push(PushCommand::Artifact(push)) => push.run(printer).await,
            Self::Pull(PullCommand::Artifact(pull)) => pull.run(printer).await,
            Self::Tag(TagCommand::Artifact(tag)) => tag.run(printer).await,
            Self::List(ListCommand::Artifacts(list)) => list.run(printer).await,
            Self::Verify(VerifyCommand::Artifact(verify)) => verify.run(printer).await,
            Self::Inspect(InspectCommand::Artifact(inspect)) => inspect.run(printer).await,
            Self::Build(build) => build.run(printer).await,
            Self::Apply(apply) => apply.run(cluster, printer).await,
            Self::Diff(diff) => diff.run(cluster, printer).await,
            Self::Plan(plan) => plan.run(cluster, printer).await,
            Self::Approve(ApproveCommand::Release(approve)) => approve.run(cluster, printer).await,
            Self::Delete(delete) => delete.run(cluster, printer).await,
            Self::Get(GetCommand::Inventories(get)) => get.run(cluster, printer).await,
            Self::Inspect(InspectCommand::Inventory(inspect)) => inspect.run(cluster, printer).await,
            Self::Adopt(AdoptCommand::Inventory(adopt)) => adopt.run(cluster, printer).await,
            Self::Adopt(AdoptCommand::Flux(AdoptFlux::Kustomization(adopt))) => {
                adopt.run(cluster, printer).await
            }
            Self::Get(GetCommand::Releases(get)) => get.run(cluster, printer).await,
            Self::Status(StatusCommand::Release(status)) => status.run(cluster, printer).await,
            Self::Events(EventsCommand::Release(events)) => events.run(cluster, printer).await,
            Self::Logs(LogsCommand::Release(logs)) => logs.run(cluster, printer).await,
            Self::History(HistoryCommand::Release(history)) => history.run(cluster, printer).await,
            Self::Rollback(RollbackCommand::Release(rollback)) => rollback.run(cluster, printer).await,
            Self::Reconcile(ReconcileCommand::Release(reconcile)) => reconcile.run(cluster, printer).await,
            Self::Suspend(SuspendCommand::Release(suspend)) => suspend.run(cluster, printer).await,
            Self::Resume(ResumeCommand::Release(resume)) => resume.run(cluster, printer).await,
            Self::Ui(ui) => ui.run(cluster, printer).await,
            // `at_once` has run these.
            Self::Crd(_)
            | Self::Health(_)
            | Self::Controller(_)
            | Self::Completion(_)
            | Self::Version(_)
            | Self::Docs(_) => Ok(()),
        }
    }

    /// Whether it waits for something, and limits only that wait: it must not be
    /// aborted in the middle of a write.
    pub(super) fn waits(&self) -> bool {
        matches!(
            self,
            Self::Apply(_) | Self::Delete(_) | Self::Reconcile(_) | Self::Resume(_) | Self::Rollback(_)
        )
    }

    /// Whether its exit codes are those of a comparison.
    pub(super) fn compares(&self) -> bool {
        matches!(self, Self::Diff(_) | Self::Health(_))
    }
}

/// The command under the name that it was called by, if that is a different one.
pub(super) fn command(called: Option<&'static str>) -> Clap {
    let command = shaped(Arguments::command());
    match called {
        Some(name) => command.bin_name(name),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::program::reference;

    fn help(arguments: &[&str]) -> String {
        let all = ["supercargo"].iter().chain(arguments);
        command(None).try_get_matches_from(all).unwrap_err().to_string()
    }

    #[test]
    fn the_arguments_are_consistent() {
        command(None).debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_how_it_ends_and_how_it_is_used() {
        let mut root = command(None);
        root.build();
        let commands = reference::acting(&root);
        assert!(commands.len() > 5);
        for command in commands {
            let name = reference::name(command);
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let examples = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{name}");
            assert!(
                long.starts_with(about.trim_end_matches('.')),
                "{name}: the short help begins the long one"
            );
            assert!(long.contains("Exit codes: "), "{name} does not say how it ends");
            assert!(examples.starts_with("Examples:\n"), "{name} has no examples");
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
            }
        }
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
        let parse =
            |arguments: &[&str]| command(None).try_get_matches_from(["supercargo"].iter().chain(arguments));
        let check = |arguments: &[&str], verify: bool, all: bool, headers: bool| {
            let parsed = parse(arguments).unwrap();
            let get = parsed.subcommand_matches("get").and_then(|get| get.subcommand_matches("releases"));
            let get = get.unwrap_or_else(|| panic!("{arguments:?}"));
            let found = (
                !get.get_flag("insecure_skip_tls_verify"),
                get.get_flag("all_namespaces"),
                !get.get_flag("no_headers"),
            );
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
            let time = |matches: &clap::ArgMatches| matches.get_one::<Duration>("timeout").copied();
            let own = parsed.subcommand_matches("apply").and_then(time);
            (time(&parsed).map(|t| t.as_secs()), own.map(|t| t.as_secs()))
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
