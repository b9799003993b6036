//! `supercargo inspect inventory`.

use clap::Args;
use serde::Serialize;

use super::target::target;
use crate::cli::args::{ClusterArgs, InventoryNamespace, PageArgs};
use crate::cli::print::output;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::domain::identity::ObjectId;
use crate::domain::stage::order;
use crate::domain::subjects::Subjects;
use crate::reconcile::frontend::command_line::not_found;

/// Show the content of an inventory.
///
/// Shows the source and revision of an inventory, when it was applied, and every object in it.
/// Writes nothing to the cluster.
///
/// Exit codes: 0 success; 1 when the inventory does not exist or cannot be read.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct InspectInventory {
    /// Name of the inventory.
    name: String,
    /// The namespace of the inventory.
    #[command(flatten)]
    namespace: InventoryNamespace,
    /// Options of the output.
    #[command(flatten)]
    page: PageArgs,
}

const EXAMPLES: &str = "\
Examples:
  supercargo inspect inventory app -n apps

  # Only the objects, with jq
  supercargo inspect inventory app -o json | jq -r '.resources[].object'";

/// An inventory, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    name: &'a str,
    namespace: &'a str,
    last_applied: &'a str,
    source: &'a str,
    revision: &'a str,
    artifacts: &'a [String],
    resources: Vec<Entry>,
}

/// An object of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    object: String,
    api_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    /// It is no longer in the manifests, and is kept on purpose.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left: bool,
}

impl InspectInventory {
    /// Prints the content of an inventory, in the order of the apply.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = connect(cluster).await?;
        let id = target(&self.name, &self.namespace, &session)?;
        let stored = session.read_inventory(&id).await?;
        if !stored.exists() {
            return Err(CliError::Failed(not_found(&id)));
        }
        let mut objects: Vec<&ObjectId> = stored.inventory.entries.keys().collect();
        objects.sort_by(|a, b| order(a).cmp(&order(b)));
        let subjects = Subjects::of(objects.iter().copied());
        let entry = |object: &ObjectId| {
            let entry = &stored.inventory.entries[object];
            let group = if object.group.is_empty() { String::new() } else { format!("{}/", object.group) };
            let api_version = format!("{group}{}", entry.version);
            Entry { object: subjects.name(object), api_version, uid: entry.uid.clone(), left: entry.retained }
        };
        let provenance = &stored.provenance;
        let page = Page {
            name: &id.name,
            namespace: &id.namespace,
            last_applied: &provenance.applied_at,
            source: &provenance.source,
            revision: &provenance.revision,
            artifacts: &provenance.artifacts,
            resources: objects.into_iter().map(entry).collect(),
        };
        match &self.page.output {
            Some(format) => output::data(printer, format, &page),
            None => print(&page, printer),
        }
    }
}

fn print(page: &Page<'_>, printer: &mut Printer<'_>) -> Result<(), CliError> {
    printer.line(format!("Inventory: {}/{}", page.namespace, page.name))?;
    let facts = [("LastAppliedAt", page.last_applied), ("Source", page.source), ("Revision", page.revision)];
    for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        printer.line(format!("{name}: {value}"))?;
    }
    if !page.artifacts.is_empty() {
        printer.line("Artifacts:")?;
    }
    for artifact in page.artifacts {
        printer.line(format!("- oci://{artifact}"))?;
    }
    printer.line("Resources:")?;
    for entry in &page.resources {
        let left = if entry.left { " (no longer in the manifests, kept)" } else { "" };
        printer.line(format!("- {}{left}", entry.object))?;
    }
    Ok(())
}
