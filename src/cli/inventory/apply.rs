//! `supercargo apply`.

use super::content::{Content, gather};
use super::interrupt::listen;
use super::narrator::{Narrator, conclude, with_failures};
use super::target::{named, refuse_live_release, target};
use crate::cli::args::{Apply, ApplyNoun, ApplyOptions, ClusterArgs};
use crate::cli::{CliError, Printer, connect};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::Provenance;
use crate::domain::release::{ByHand, Release};
use crate::pipeline::local::Local;

/// What Ctrl-C leaves.
const INTERRUPTED: &str =
    "what was applied until now stays, and the inventory names it; run the same again to go on";

/// Applies manifests and records them.
pub(in crate::cli) async fn apply(
    arguments: Apply,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let (name, options) = match arguments.noun {
        Some(ApplyNoun::Inventory { name, options }) => (name, options),
        None => (named(arguments.inventory)?, arguments.options),
    };
    let session = connect::connect(cluster).await?;
    let id = target(&name, &options.namespace, &session)?;
    if options.content.artifacts.is_empty() {
        printer.say("building inventory...");
    }
    let Content { bundle, provenance } = gather(&options.content, printer).await?;
    refuse_live_release(&session, &id, options.force_inventory).await?;
    if options.create_namespace && !options.dry_run {
        session.ensure_namespace(&id.namespace).await?;
    }
    let release = release(id, &session, &options, provenance);
    let yaml = bundle.yaml()?;
    let mut local = Local::new(session)?;
    if options.dry_run {
        return dry_run(&mut local, &release, yaml, printer).await;
    }
    printer.say(&format!("applying {} manifest(s)...", bundle.objects.len()));
    let interrupt = listen(local.signals());
    let outcome = local.apply(&release, yaml, &Narrator::new(printer)).await;
    drop(interrupt);
    conclude(&outcome, printer, INTERRUPTED)
}

fn release(
    id: ReleaseId,
    session: &crate::cluster::session::Session,
    options: &ApplyOptions,
    provenance: Provenance,
) -> Release {
    Release::by_hand(ByHand {
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
    })
}

/// Says what an apply would do.
async fn dry_run(
    local: &mut Local,
    release: &Release,
    yaml: Vec<u8>,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let preview = local.preview(release, yaml).await;
    let preview = match preview {
        Ok(preview) => preview,
        Err(failed) => return conclude(&failed, printer, INTERRUPTED),
    };
    for foreseen in &preview.objects {
        printer.say(&format!("{} {} (server dry run)", foreseen.id, foreseen.change.as_str()));
    }
    for note in &preview.notes {
        printer.say(&format!("warning: {note}"));
    }
    match preview.failures.len() {
        0 => Ok(()),
        count => {
            let headline = format!("an apply would write nothing, the dry run refused {count} object(s)");
            Err(CliError::Failed(with_failures(&headline, true, &preview.failures)))
        }
    }
}
