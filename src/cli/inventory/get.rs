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
/// Reads the inventories (ConfigMaps named inv-NAME) of all namespaces, or with -n of one. Writes
/// nothing to the cluster.
///
/// With -o wide, also shows the artifacts.
///
/// Exit codes: 0 success, also if there are no inventories; 1 when the cluster cannot be read, or
/// the named inventory does not exist.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct GetInventories {
    /// Name of one inventory (default: all).
    name: Option<String>,
    /// List the inventories of all namespaces (default unless -n is set).
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Options of the output.
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Show what is installed, from where and since when
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
                    CliError::Failed(format!("{error}; use -n NAMESPACE to list one namespace"))
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
            let place = namespace.map_or("any namespace".to_owned(), |n| format!("namespace {n}"));
            return Err(CliError::Failed(format!("inventory {name} not found in {place}")));
        }
        if let Some(format) = form.output.format() {
            return output::data(printer, format, &rows);
        }
        if matches!(form.output, Output::Name) {
            return rows.iter().try_for_each(|row| printer.line(format!("configmap/inv-{}", row.name)));
        }
        // Names are unique only within one namespace.
        let several = all_namespaces || rows.windows(2).any(|pair| pair[0].namespace != pair[1].namespace);
        let mut headers = vec!["NAME", "ENTRIES", "SOURCE", "REVISION", "LAST APPLIED"];
        if several {
            headers.insert(1, "NAMESPACE");
        }
        let is_wide = form.output.is_wide();
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
