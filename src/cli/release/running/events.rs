//! `supercargo events release`.

use std::collections::BTreeSet;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

use super::pods::Running;
use crate::api::release::KIND;
use crate::cli::args::{ClusterArgs, Output, OutputArgs};
use crate::cli::interrupt::or_interrupted;
use crate::cli::print::color::Tone;
use crate::cli::print::follow::{WatchedTable, follow};
use crate::cli::print::output;
use crate::cli::print::table::{Cell, Table};
use crate::cli::reach::connect::connect;
use crate::cli::release::fields::text;
use crate::cli::release::find::{find, release_named};
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::age::age;
use crate::domain::identity::ReleaseId;
use crate::domain::shown::events::last_seen;

/// Show the events of a release, oldest first.
///
/// Reads the events about the release, like `kubectl events --for`; with --objects also those about its objects,
/// and about the ReplicaSets, Jobs and pods of these. Writes nothing to the cluster. API servers usually keep an
/// event for one hour; `supercargo history release` has what is older.
///
/// Exit codes: 0 success, also if there are no events; 1 when the release does not exist or cannot be read; 130 when
/// a watch is interrupted by Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct EventsRelease {
    /// Name of the release.
    name: String,
    /// Also show the events about the objects of the release and their pods.
    #[arg(long)]
    objects: bool,
    /// Watch for new events after the list, until Ctrl-C.
    #[arg(short = 'w', long, conflicts_with = "objects")]
    watch: bool,
    /// Options of the output.
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  # What has happened?
  supercargo events release demo-app

  # Also to its Deployments and pods
  supercargo events release demo-app --objects

  # Follow an upgrade
  supercargo events release demo-app --watch";

impl EventsRelease {
    /// Shows the events of a release.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let Self { name, objects, watch, output } = self;
        if *watch && !matches!(output.output, Output::Table | Output::Wide) {
            return Err(CliError::Usage("--watch supports only table output".into()));
        }
        let session = &connect(cluster).await?;
        let release = release_named(session, name);
        let found = find(session, &release).await?;
        if *watch {
            let following = print_changes(&release, !output.no_headers, session, printer);
            return or_interrupted(following, || "watch stopped".into()).await;
        }
        let mut events = session.events_about(&release.namespace, KIND, &release.name).await?;
        if *objects {
            let stored = session.read_inventory(&release).await?;
            events.extend(of_objects(&Running::of(session, &found, &stored.inventory).await?).await?);
        }
        events.sort_by_cached_key(last_seen);
        match output.output.format() {
            Some(format) => output::objects(printer, format, events, false)?,
            None if matches!(output.output, Output::Name) => output::names(printer, &events)?,
            None if events.is_empty() => printer.say(format!("no events found for release {release}")),
            None => table(&events, Timestamp::now()).print(printer, !output.no_headers)?,
        }
        printer.finish()
    }
}

/// The events about what a release runs.
async fn of_objects(running: &Running) -> Result<Vec<Value>, CliError> {
    let mut subjects: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut uids: BTreeSet<String> = BTreeSet::new();
    let pods = running.pods()?;
    for id in &running.objects {
        subjects.insert((id.kind.clone(), id.namespace.clone(), id.name.clone()));
    }
    for workload in &running.workloads {
        uids.extend(workload.owners.iter().cloned());
        let pods = workload.list(&running.session, &pods).await?;
        uids.extend(pods.iter().map(|pod| text(pod, "/metadata/uid").to_owned()));
    }
    let namespaces: BTreeSet<&str> = running.objects.iter().map(|id| id.namespace.as_str()).collect();
    let mut events = Vec::new();
    for namespace in namespaces {
        // The events about cluster-wide objects are in `default`.
        let place = if namespace.is_empty() { "default" } else { namespace };
        let found = running.session.events_in(place).await?;
        events.extend(found.into_iter().filter(|event| {
            let part = |field: &str| text(event, &format!("/involvedObject/{field}")).to_owned();
            let is_child = uids.contains(&part("uid"));
            (part("namespace") == namespace)
                && (is_child || subjects.contains(&(part("kind"), part("namespace"), part("name"))))
        }));
    }
    Ok(events)
}

fn table(events: &[Value], now: Timestamp) -> Table {
    let mut table = Table::new(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    for event in events {
        let kind = text(event, "/type");
        let tone = if kind == "Warning" { Tone::Bad } else { Tone::Good };
        let subject =
            format!("{}/{}", text(event, "/involvedObject/kind"), text(event, "/involvedObject/name"));
        table.row([
            age(last_seen(event).map(|at| at.to_string()).as_deref(), now).into(),
            Cell::toned(kind, tone),
            text(event, "/reason").into(),
            subject.into(),
            text(event, "/message").trim().into(),
        ]);
    }
    table
}

/// Prints the events, and then each new one.
async fn print_changes(
    release: &ReleaseId,
    headers: bool,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let (sender, seen) = mpsc::unbounded_channel();
    let ReleaseId { namespace, name } = release;
    let watching = session.clone().follow_events_about(namespace.clone(), KIND, name.clone(), sender);
    let key = |event: &Value| Some(text(event, "/metadata/uid").to_owned());
    let table = |mut news: Vec<Value>| {
        news.sort_by_cached_key(last_seen);
        table(&news, Timestamp::now())
    };
    follow(watching, seen, WatchedTable { key, table, headers }, printer).await
}
