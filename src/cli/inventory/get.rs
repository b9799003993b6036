//! `supercargo get inventories`.

use clap::Args;
use serde::Serialize;

use crate::cli::args::{ClusterArgs, Output, OutputArgs};
use crate::cli::print::output;
use crate::cli::print::table::Table;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::inventory::Stored;
use crate::domain::identity::ReleaseId;
use crate::reconcile::error::chain;

/// List inventories.
///
/// Reads the inventories, ConfigMaps named inv-NAME, of all namespaces, or of one with -n. Writes
/// nothing to the cluster.
///
/// With -o wide, it shows the artifacts too.
///
/// Exit codes: 0, also when there are none; 1 when the cluster cannot be asked, or there is none of
/// the NAME that is given.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct GetInventories {
    /// The name of one inventory.
    name: Option<String>,
    /// Those of all namespaces, which is so unless -n is given.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// The form of the output.
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  # What was installed here, from where and when?
  supercargo get inventories

  # In one namespace
  supercargo get inventories -n apps -o wide";

/// An inventory, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    namespace: &'a str,
    entries: usize,
    source: &'a str,
    revision: &'a str,
    artifacts: &'a [String],
    last_applied: &'a str,
}

impl GetInventories {
    /// Lists inventories: those of all namespaces unless one is asked for.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let Self { name, all_namespaces, output: form } = self;
        let session = connect(cluster).await?;
        let namespace = cluster.namespace.as_deref().filter(|_| !all_namespaces);
        let found =
            session.list_inventories(namespace).await.map_err(|error| match error.is_forbidden() {
                true if namespace.is_none() => {
                    CliError::Failed(format!("{error}; -n NAMESPACE lists one namespace"))
                }
                _ => error.into(),
            })?;
        for broken in &found.broken {
            printer.say(format!("warning: {}", chain(broken)));
        }
        let found = found.inventories;
        let wanted = |id: &ReleaseId| name.as_ref().is_none_or(|n| *n == id.name);
        let rows: Vec<Row<'_>> = found.iter().filter(|(id, _)| wanted(id)).map(row).collect();
        if let (Some(name), []) = (&name, rows.as_slice()) {
            let place = namespace.map_or("any namespace".to_owned(), |n| format!("the namespace {n}"));
            return Err(CliError::Failed(format!("there is no inventory {name} in {place}")));
        }
        if let Some(format) = form.output.format() {
            return output::data(printer, format, &rows);
        }
        // Names alone say which is which only as long as there is one namespace.
        let several = all_namespaces || rows.windows(2).any(|pair| pair[0].namespace != pair[1].namespace);
        let mut headers = vec!["NAME", "ENTRIES", "SOURCE", "REVISION", "LAST APPLIED"];
        if several {
            headers.insert(1, "NAMESPACE");
        }
        let is_wide = form.output == Output::Wide;
        if is_wide {
            headers.push("ARTIFACTS");
        }
        let mut table = Table::new(headers);
        for row in &rows {
            let namespace = several.then(|| row.namespace.into());
            let cells = [
                row.entries.to_string().into(),
                row.source.into(),
                row.revision.into(),
                row.last_applied.into(),
            ];
            let artifacts = is_wide.then(|| row.artifacts.join(",").into());
            table.row(std::iter::once(row.name.into()).chain(namespace).chain(cells).chain(artifacts));
        }
        table.print(printer, !form.no_headers)
    }
}

fn row<'a>((id, stored): (&'a ReleaseId, &'a Stored)) -> Row<'a> {
    let provenance = &stored.provenance;
    Row {
        name: &id.name,
        namespace: &id.namespace,
        entries: stored.inventory.entries.len(),
        source: &provenance.source,
        revision: &provenance.revision,
        artifacts: &provenance.artifacts,
        last_applied: &provenance.applied_at,
    }
}
