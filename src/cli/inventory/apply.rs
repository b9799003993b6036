//! `supercargo apply`.

use super::content::{Content, check, gather};
use super::interrupt::listen;
use super::narrator::{Narrator, conclude, with_failures};
use super::target::{named, refuse_live_release, target};
use crate::cli::args::{Apply, ApplyNoun, ApplyOptions, ClusterArgs};
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::Provenance;
use crate::domain::release::{ByHand, Release};
use crate::reconcile::frontend::command_line::Local;

/// What Ctrl-C leaves.
const INTERRUPTED: &str =
    "what was applied until now stays, and the inventory names it; run the same again to go on";
/// What it leaves when only something was waited for.
const UNWAITED: &str = "everything is applied and in the inventory, and not all of it known to be ready; run the same \
                        again to wait on";

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
    check(&options.content)?;
    let session = connect(cluster).await?;
    let id = target(&name, &options.namespace, &session)?;
    if options.content.artifacts.is_empty() {
        printer.say("building inventory...");
    }
    let Content { bundle, provenance } = gather(&options.content, printer).await?;
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

/// What a person is told who looks ahead at what only works with a flag.
pub(super) fn no_namespace(release: &Release) -> String {
    format!(
        "warning: the namespace {} does not exist; apply --create-namespace makes it",
        release.id.namespace
    )
}

/// Says what an apply would do.
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
    let subjects = Subjects::of(preview.objects.iter().map(|foreseen| &foreseen.id));
    for foreseen in &preview.objects {
        let subject = subjects.name(&foreseen.id);
        printer.say(format!("{subject} {} (server dry run)", foreseen.change.as_str()));
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
            let headline = format!("an apply would write nothing, the dry run refused {count} object(s)");
            Err(CliError::Several(with_failures(&headline, true, &preview.failures)))
        }
    }
}
