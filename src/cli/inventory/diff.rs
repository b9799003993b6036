//! `supercargo diff` against a cluster.

use std::time::Duration;

use super::apply::no_namespace;
use super::content::gather;
use super::narrator::{conclude, with_failures};
use super::target::{named, target};
use crate::cli::args::Format;
use crate::cli::args::{ClusterArgs, Diff, DiffNoun, DiffOptions};
use crate::cli::print::difference::Difference;
use crate::cli::print::output;
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer, diff_release};
use crate::domain::diff::unified;
use crate::domain::inventory::Provenance;
use crate::domain::release::{ByHand, Release};
use crate::reconcile::frontend::command_line::Local;
use crate::reconcile::preview::{Foreseen, Preview};
use crate::reconcile::scope::progress::Change;

/// Nothing is waited for.
const NO_WAIT: Duration = Duration::from_secs(60);

/// Compares manifests with the cluster: the exit code says whether they differ.
pub(in crate::cli) async fn diff(
    arguments: Diff,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let (name, options) = match arguments.noun {
        Some(DiffNoun::Artifact(artifacts)) => return artifacts.run(printer).await,
        Some(DiffNoun::Release(release)) => return diff_release::release(&release, cluster, printer).await,
        Some(DiffNoun::Inventory { name, options }) => (name, options),
        None => (named(arguments.inventory)?, arguments.options),
    };
    compare(&name, &options, cluster, printer).await.map_err(CliError::of_comparison)
}

async fn compare(
    name: &str,
    options: &DiffOptions,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let session = connect(cluster).await?;
    let id = target(name, &options.namespace, &session)?;
    let content = gather(&options.content, printer).await?;
    let release = Release::by_hand(ByHand {
        id,
        default_namespace: session.default_namespace().to_owned(),
        prune: options.prune,
        wait: false,
        force: options.force,
        timeout: NO_WAIT,
        provenance: Provenance::default(),
    });
    let mut local = Local::new(session)?;
    let preview = match local.preview(&release, content.bundle.yaml()?).await {
        Ok(preview) => preview,
        Err(failed) => return conclude(&failed, printer, "nothing was written"),
    };
    if preview.lacks_namespace {
        printer.say(no_namespace(&release));
    }
    show(&preview, options.output, printer)
}

/// Prints what would change, and ends as a comparison does.
pub(in crate::cli) fn show(
    preview: &Preview,
    format: Option<Format>,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let subjects = Subjects::of(preview.objects.iter().map(|foreseen| &foreseen.id));
    let differences: Vec<Difference> =
        preview.objects.iter().filter_map(|foreseen| difference(foreseen, &subjects)).collect();
    match format {
        Some(format) => output::data(printer, format, &differences)?,
        None => differences.iter().try_for_each(|difference| difference.print(printer))?,
    }
    for note in &preview.notes {
        printer.say(format!("warning: {note}"));
    }
    if !preview.failures.is_empty() {
        let headline = format!(
            "the API server refuses {} object(s), so an apply would write nothing",
            preview.failures.len()
        );
        return Err(CliError::Several(with_failures(&headline, true, &preview.failures)));
    }
    if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
}

fn difference(foreseen: &Foreseen, subjects: &Subjects) -> Option<Difference> {
    let (change, diff) = match foreseen.change {
        Change::Unchanged => return None,
        Change::Created => ("created", String::new()),
        Change::Deleted => ("deleted", String::new()),
        Change::Recreated => ("recreated", unified(foreseen.before.as_ref(), foreseen.after.as_ref())),
        Change::Configured => {
            let diff = unified(foreseen.before.as_ref(), foreseen.after.as_ref());
            // Only what the API server keeps for itself differs.
            if diff.is_empty() {
                return None;
            }
            ("drifted", diff)
        }
    };
    let Foreseen { id, .. } = foreseen;
    Some(Difference { object: subjects.name(id), group: id.group.clone(), change: change.to_owned(), diff })
}
