//! `supercargo plan release`: what a new revision would change once it is approved.

use clap::Args;
use serde_json::Value;

use super::fields::text;
use super::find::{find, release_named};
use crate::api::plan::{PlanEntry, PlanStatus};
use crate::cli::args::{ClusterArgs, PageArgs};
use crate::cli::print::changes::PlanView;
use crate::cli::print::output;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::plan::changeset::changes_digest;

/// Show the plan of a release that waits for approval.
///
/// Reads the plan that the operator has published for a release with spec.approval: Manual: every
/// object that is created, configured, recreated, pruned, handed over or run, with the fields that
/// change. Sensitive values are masked. For a release that waits for no approval, `supercargo diff
/// release` shows what a reconciliation would change. Writes nothing to the cluster.
///
/// Exit codes: 0 when no plan waits; 1 failure; 2 when a plan with changes was shown.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PlanRelease {
    /// Name of the release.
    name: String,
    /// Options of the output.
    #[command(flatten)]
    page: PageArgs,
}

const EXAMPLES: &str = "\
Examples:
  # What waits for approval?
  supercargo plan release demo-app -n apps

  # Objects that would be deleted, with jq
  supercargo plan release demo-app -o json | jq -r '.changes[] | select(.action == \"pruned\") | .object'";

impl PlanRelease {
    /// Shows a plan: the exit code says whether there is one.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = &connect(cluster).await?;
        let id = release_named(session, &self.name);
        let release = find(session, &id).await?;
        let Some(plan) = published(&release)? else {
            printer.say(match text(&release, "/spec/approval") {
                "Manual" => format!("release {id} has no plan that waits for approval"),
                _ => format!(
                    "release {id} needs no approval (spec.approval is Automatic); see supercargo diff release {}",
                    id.name
                ),
            });
            return Ok(());
        };
        let view = view(session, &id, plan).await?;
        match &self.page.output {
            Some(format) => output::data(printer, format, &view)?,
            None => view.print(printer)?,
        }
        printer.finish()?;
        Err(CliError::Planned)
    }
}

/// The plan in the status of a release.
pub(super) fn published(release: &Value) -> Result<Option<PlanStatus>, CliError> {
    let Some(plan) = release.pointer("/status/plan") else { return Ok(None) };
    let read = serde_json::from_value(plan.clone());
    read.map(Some).map_err(|error| CliError::Failed(format!("cannot read status.plan: {error}")))
}

/// The plan with all of its changes, as far as they can be read.
pub(super) async fn view(session: &Session, id: &ReleaseId, plan: PlanStatus) -> Result<PlanView, CliError> {
    let digest = plan.changes_digest.clone();
    let listed = plan.changes.len();
    let unlisted = plan.more_changes.and_then(|more| usize::try_from(more).ok()).unwrap_or_default();
    let cut = |entry: &PlanEntry| {
        let is_cut = |value: &Option<String>| value.as_ref().is_some_and(|value| value.ends_with('…'));
        entry.more_fields.is_some() || entry.fields.iter().any(|f| is_cut(&f.before) || is_cut(&f.after))
    };
    let mut view = PlanView {
        revision: plan.revision,
        hash: plan.hash,
        since: Some(plan.since),
        counts: plan.counts,
        changes: plan.changes,
        more_changes: Some(unlisted).filter(|more| *more > 0),
        changed_since: plan.changed_since,
        approved: plan.approved,
    };
    if unlisted == 0 && !view.changes.iter().any(cut) {
        return Ok(view);
    }
    let stored = match session.read_plan(id).await {
        Ok(stored) => stored.filter(|stored| digest.as_deref() == Some(&changes_digest(&stored.changes))),
        // The status has the first changes.
        Err(error) if error.is_forbidden() => None,
        Err(error) => return Err(error.into()),
    };
    let all = stored.and_then(|stored| {
        let changes: Vec<PlanEntry> = serde_json::from_str(&stored.changes).ok()?;
        (changes.len() >= listed).then_some((changes, stored.more))
    });
    if let Some((changes, more)) = all {
        (view.changes, view.more_changes) = (changes, Some(more).filter(|more| *more > 0));
    }
    Ok(view)
}
