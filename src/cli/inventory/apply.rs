//! `supercargo apply`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::content::{Content, check, gather};
use super::interrupt::listen;
use super::narrator::{Narrator, conclude, with_failures};
use super::preview::no_namespace;
use super::target::{named, refuse_live_release, target};
use crate::cli::args::value::duration;
use crate::cli::args::{ClusterArgs, ContentArgs, InventoryFlags, InventoryNamespace};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::Provenance;
use crate::domain::plan::changeset::PlanToken;
use crate::domain::release::approval::ApprovalPolicy;
use crate::domain::release::{ManualRelease, Release};
use crate::domain::subjects::Subjects;
use crate::reconcile::frontend::command_line::Local;

/// Apply manifests and record them in an inventory.
///
/// Reads manifests from files, overlays, stdin and artifacts. First sends all objects to the API
/// server as a dry run; if one is refused, nothing is applied. Then applies the objects in stages;
/// the inventory (the ConfigMap inv-NAME) records each object before it is created. --prune deletes
/// inventory objects that are no longer in the manifests. An object without a namespace gets that
/// of -n (default: that of the kubeconfig context). --create-namespace creates the Namespace before
/// the dry run, which needs it. With --key or --certificate-identity, every artifact must have a
/// matching signature; otherwise it is not even read.
///
/// Exit codes: 0 success; 1 when an object was refused, failed or was not ready in time; 2 invalid
/// usage; 130 interrupted by Ctrl-C: applied objects are kept and recorded in the inventory.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_long_help = EXAMPLES)]
pub struct Apply {
    /// With a noun.
    #[command(subcommand)]
    noun: Option<ApplyNoun>,
    /// Without a noun.
    #[command(flatten)]
    inventory: InventoryFlags,
    /// The other options.
    #[command(flatten)]
    options: ApplyOptions,
}

const EXAMPLES: &str = "\
Examples:
  # Install an artifact and wait until it is ready
  supercargo apply -i app -a oci://ghcr.io/acme/app-config:v1.0.0 --wait --prune

  # Install it only if it is signed with your key
  supercargo apply -i app -a oci://ghcr.io/acme/app-config:v1.0.0 --wait --prune --verify --key cosign.pub

  # Manifests from another tool
  cue cmd ymldump ./deploy | supercargo apply -i app -f -

  # An overlay, with a patch, in a namespace that may not exist
  supercargo apply -i app -n apps --create-namespace -k ./overlays/prod -p safe-to-evict.yaml

  # Only a server dry run
  supercargo apply -i app -f ./deploy --dry-run";

/// `apply inventory`.
#[derive(Debug, Subcommand)]
pub enum ApplyNoun {
    /// Apply manifests and record them in an inventory.
    #[command(visible_alias = "inv")]
    Inventory {
        /// Name of the inventory.
        name: String,
        /// The other options.
        #[command(flatten)]
        options: ApplyOptions,
    },
}

/// How to apply.
#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// The input.
    #[command(flatten)]
    content: ContentArgs,
    /// Where its inventory is.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Wait until all objects are ready, and pruned objects are gone.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    wait: bool,
    /// Delete inventory objects that are no longer in the manifests.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    prune: bool,
    /// Recreate objects on changes of immutable fields; never Namespaces, CRDs and volumes.
    #[arg(long, default_missing_value = "true", default_value = "false", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    force: bool,
    /// Show what would change, by a server dry run; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Apply only the plan with this hash, which supercargo plan has shown.
    #[arg(long, hide_short_help = true, value_name = "HASH", value_parser = PlanToken::parse, conflicts_with = "dry_run")]
    plan: Option<PlanToken>,
    /// Time limit of each wait, such as 90s or 5m.
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
    /// Create the inventory's namespace if it does not exist.
    #[arg(long)]
    create_namespace: bool,
    /// Source of the manifests, recorded in the inventory (default: the artifact's repository).
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Revision of the manifests, for the inventory (default: the artifact's tag and digest).
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
    /// Write to the inventory of an OCIArtifactRelease, which must be suspended.
    #[arg(long, hide_short_help = true)]
    force_inventory: bool,
}

/// The state after Ctrl-C.
const INTERRUPTED: &str = "applied objects are kept and recorded in the inventory; rerun to continue";
/// The state after Ctrl-C during the wait for readiness.
const UNWAITED: &str = "applied; readiness unconfirmed; rerun to keep waiting";

impl Apply {
    /// Applies manifests and records them.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let (name, options) = match self.noun {
            Some(ApplyNoun::Inventory { name, options }) => (name, options),
            None => (named(self.inventory)?, self.options),
        };
        check(&options.content)?;
        let session = connect(cluster).await?;
        let id = target(&name, &options.namespace, &session)?;
        if options.content.artifacts.is_empty() {
            printer.say("building inventory...");
        }
        let Content { bundle, provenance } = gather(&options.content, Some(&session), printer).await?;
        let of_release = refuse_live_release(&session, &id, options.force_inventory).await?;
        if options.create_namespace && !options.dry_run {
            session.ensure_namespace(&id.namespace).await?;
        }
        let release = release(id, &session, &options, provenance);
        let yaml = bundle.yaml()?;
        let mut local = Local::new(session)?;
        local.of_release = of_release;
        if options.dry_run {
            return dry_run(&mut local, &release, yaml, options.create_namespace, printer).await;
        }
        printer.say(format!("applying {} manifest(s)...", bundle.objects.len()));
        let interrupt = listen(local.signals());
        let outcome = local.apply(&release, yaml, &Narrator::new(printer, bundle.names())).await;
        drop(interrupt);
        conclude(&outcome, printer, if outcome.applied { UNWAITED } else { INTERRUPTED })
    }
}

fn release(
    id: ReleaseId,
    session: &crate::cluster::session::Session,
    options: &ApplyOptions,
    provenance: Provenance,
) -> Release {
    let mut release = Release::manual(ManualRelease {
        id,
        default_namespace: session.default_namespace().to_owned(),
        prune: options.prune,
        wait: options.wait,
        force: options.force,
        timeout: options.timeout,
        provenance: Provenance {
            source: options.source.clone().unwrap_or(provenance.source),
            revision: options.revision.clone().unwrap_or(provenance.revision),
            ..provenance
        },
    });
    if let Some(token) = &options.plan {
        release.approval = ApprovalPolicy::Exactly(token.clone());
    }
    release
}

/// Shows what an apply would change.
async fn dry_run(
    local: &mut Local,
    release: &Release,
    yaml: Vec<u8>,
    creates: bool,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let preview = local.preview(release, yaml).await;
    let preview = match preview {
        Ok(preview) => preview,
        Err(failed) => return conclude(&failed, printer, INTERRUPTED),
    };
    let subjects = Subjects::of(preview.objects.iter().map(|planned| &planned.id));
    for planned in &preview.objects {
        let subject = subjects.name(&planned.id);
        printer.say(format!("{subject} {} (server dry run)", planned.change.as_str()));
    }
    for note in &preview.notes {
        printer.say(format!("warning: {note}"));
    }
    if preview.lacks_namespace && !creates {
        printer.say(no_namespace(release));
    }
    match preview.failures.len() {
        0 => Ok(()),
        count => {
            let headline = format!("dry run failed for {count} object(s), an apply would write nothing");
            Err(CliError::Several(with_failures(&headline, true, &preview.failures)))
        }
    }
}
