//! `supercargo get releases`.

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

use super::fields::{condition_of, id, replica, text, tone};
use super::find::absent;
use crate::api::status::condition;
use crate::cli::args::{ClusterArgs, Output, OutputArgs};
use crate::cli::interrupt::or_interrupted;
use crate::cli::print::color::Tone;
use crate::cli::print::follow::{WatchedTable, follow};
use crate::cli::print::output;
use crate::cli::print::table::{Cell, Table};
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::age::age;
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ReleaseId;

/// List the releases of one namespace, or of all.
///
/// Reads OCIArtifactReleases and writes nothing to the cluster. READY, REASON and MESSAGE are those
/// of the Ready condition, REVISION is the last revision that was applied completely, SUSPENDED is
/// spec.suspend. CLUSTER is the API server of the objects, if any release has them in another cluster; -o wide
/// has the column always. REPLICA, in a wide table, is the replica of the operator that works on the release, if
/// replicas share the releases. With -o json, yaml or jsonpath the objects are in kubectl's format: a single named
/// release as an object, otherwise a List. With -o name, kubectl takes what is printed.
///
/// Exit codes: 0 success, also if there are no releases; 1 when a named release does not exist, or
/// the cluster cannot be read.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct GetReleases {
    /// Names of the releases (default: all).
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// List the releases of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// List only releases whose labels match, such as team=web or 'team in (web,db)'.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Watch for changes after the list, until Ctrl-C.
    #[arg(short = 'w', long)]
    watch: bool,
    /// Options of the output.
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Releases of the current namespace
  supercargo get releases

  # Releases of all namespaces, with drift, verification and source
  supercargo get releases -A -o wide

  # Names of the releases that are not ready
  supercargo get releases -A --no-headers | awk '$3 != \"True\" {print $1 \"/\" $2}'

  # Revision of each release
  supercargo get releases -A -o jsonpath='{range .items[*]}{.metadata.name}: {.status.lastAppliedRevision}{\"\\n\"}{end}'

  # Save a release for another cluster
  supercargo get releases demo-app -o yaml > demo-app.yaml

  # Watch an upgrade
  supercargo get releases --watch";

impl GetReleases {
    /// Lists releases.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let Self { names, all_namespaces, selector, watch, output } = self;
        if !names.is_empty() && (*all_namespaces || selector.is_some()) {
            let flag = if *all_namespaces { "-A" } else { "-l" };
            return Err(CliError::Usage(format!("names cannot be combined with {flag}")));
        }
        let format = output.output.format();
        if *watch && !matches!(output.output, Output::Table | Output::Wide) {
            return Err(CliError::Usage("--watch supports only table output".into()));
        }
        let session = &connect(cluster).await?;
        let namespace = (!all_namespaces).then(|| session.default_namespace().to_owned());
        if *watch {
            let following = print_changes(self, namespace, session, printer);
            return or_interrupted(following, || "watch stopped".into()).await;
        }
        let (found, missing) = match (names.as_slice(), &namespace) {
            ([], _) | (_, None) => {
                (session.list_releases(namespace.as_deref(), selector.as_deref()).await?, Vec::new())
            }
            (names, Some(namespace)) => named(session, namespace, names).await?,
        };
        match format {
            Some(format) => output::objects(printer, format, found, names.len() == 1)?,
            None if matches!(output.output, Output::Name) => output::names(printer, &found)?,
            None if found.is_empty() && missing.is_empty() => match &namespace {
                Some(namespace) => printer.say(format!("no releases found in namespace {namespace}")),
                None => printer.say("no releases found"),
            },
            None if !found.is_empty() => {
                let wide = output.output.is_wide();
                let columns = Columns::of(*all_namespaces, wide, &found);
                columns.table(&found, Timestamp::now()).print(printer, !output.no_headers)?;
            }
            None => {}
        }
        printer.finish()?;
        if missing.is_empty() { Ok(()) } else { Err(CliError::Several(missing.into_iter().collect())) }
    }
}

/// The releases that exist, and a message for each that does not.
async fn named(
    session: &Session,
    namespace: &str,
    names: &[String],
) -> Result<(Vec<Value>, Vec<String>), CliError> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        let release = ReleaseId { namespace: namespace.to_owned(), name: name.clone() };
        match session.find_release(&release).await? {
            Some(value) => found.push(value),
            None => missing.push(absent(session, &release).await),
        }
    }
    Ok((found, missing))
}

/// Which columns the table has: those of the definition.
#[derive(Clone, Copy)]
struct Columns {
    namespace: bool,
    wide: bool,
    /// That of the objects' cluster.
    cluster: bool,
    /// That of the replica that works on a release.
    replica: bool,
}

impl Columns {
    /// Those that have something to show for these releases.
    fn of(namespace: bool, wide: bool, releases: &[Value]) -> Self {
        let cluster = wide || releases.iter().any(|release| !text(release, "/status/cluster").is_empty());
        let replica = wide && releases.iter().any(|release| !replica(release).is_empty());
        Self { namespace, wide, cluster, replica }
    }

    fn table(self, releases: &[Value], now: Timestamp) -> Table {
        let mut headers = vec!["NAME", "READY", "REASON", "REVISION", "SUSPENDED", "AGE"];
        if self.namespace {
            headers.insert(0, "NAMESPACE");
        }
        if self.wide {
            headers.extend(["LAST APPLIED", "DRIFTED", "VERIFIED", "SOURCE"]);
        }
        if self.cluster {
            headers.push("CLUSTER");
        }
        if self.replica {
            headers.push("REPLICA");
        }
        // The longest column is the last.
        headers.push("MESSAGE");
        let mut table = Table::new(headers);
        for release in releases {
            table.row(self.row(release, now));
        }
        table
    }

    fn row(self, release: &Value, now: Timestamp) -> Vec<Cell> {
        let cell = |pointer: &str| Cell::from(text(release, pointer));
        let ready = condition_of(release, condition::READY).unwrap_or(&Value::Null);
        let status = text(ready, "/status");
        let suspended = release.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false);
        let revision = text(release, "/status/lastAppliedRevision");
        let mut row = vec![
            cell("/metadata/name"),
            Cell::toned(status, tone(status)),
            text(ready, "/reason").into(),
            shortened(revision).into(),
            suspended.to_string().into(),
            age(release.pointer("/metadata/creationTimestamp").and_then(Value::as_str), now).into(),
        ];
        if self.namespace {
            row.insert(0, cell("/metadata/namespace"));
        }
        if self.wide {
            let status_of = |kind: &str| condition_of(release, kind).map_or("", |c| text(c, "/status"));
            let (drifted, verified) = (status_of(condition::DRIFTED), status_of(condition::VERIFIED));
            let drift = match drifted {
                "True" => Tone::Bad,
                "False" => Tone::Good,
                _ => Tone::Pending,
            };
            row.extend([
                revision.into(),
                Cell::toned(drifted, drift),
                Cell::toned(verified, tone(verified)),
                cell("/spec/url"),
            ]);
        }
        if self.cluster {
            row.push(cell("/status/cluster"));
        }
        if self.replica {
            row.push(replica(release).into());
        }
        row.push(text(ready, "/message").into());
        row
    }
}

/// Prints the list, and then a line for every change.
async fn print_changes(
    arguments: &GetReleases,
    namespace: Option<String>,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let GetReleases { names, selector, output, .. } = arguments;
    // A kind that is not served is an error, and not something to wait for.
    session.list_releases(namespace.as_deref(), selector.as_deref()).await?;
    let (mut columns, all, wide) = (None, namespace.is_none(), output.output.is_wide());
    let (sender, seen) = mpsc::unbounded_channel();
    let watching = session.clone().follow_releases(namespace, selector.clone(), sender);
    let key = |release: &Value| {
        let is_wanted = names.is_empty() || names.iter().any(|name| name == text(release, "/metadata/name"));
        is_wanted.then(|| id(release).to_string())
    };
    let table = |news: Vec<Value>| {
        // The columns are those of the list.
        let columns = columns.get_or_insert_with(|| Columns::of(all, wide, &news));
        columns.table(&news, Timestamp::now())
    };
    follow(watching, seen, WatchedTable { key, table, headers: !output.no_headers }, printer).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_the_columns_of_the_definition() {
        let releases = [
            json!({"metadata": {"namespace": "apps", "name": "web", "creationTimestamp": "1969-12-31T23:59:00Z"},
            "spec": {"url": "oci://r/web", "suspend": true},
            "status": {"lastAppliedRevision": format!("1@sha256:b39c4235dead{}", "0".repeat(52)), "inventory": {"entries": 3},
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Good", "message": "applied"},
                    {"type": "Drifted", "status": "False", "message": "every object"},
                    {"type": "Verified", "status": "Unknown", "message": "Verification is off"},
                ]}}),
            json!({"metadata": {"namespace": "b", "name": "new"}, "spec": {"url": "oci://r/new"}}),
        ];
        let printed = |namespace: bool, wide: bool| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let table = Columns::of(namespace, wide, &releases).table(&releases, Timestamp::UNIX_EPOCH);
            table.print(&mut Printer::new(&mut out, &mut err), true).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            printed(false, false),
            "NAME   READY   REASON   REVISION                SUSPENDED   AGE         MESSAGE\n\
             web    True    Good     1@sha256:b39c4235dead   true        60s         applied\n\
             new                                             false       <unknown>\n"
        );
        let whole = format!("1@sha256:b39c4235dead{}", "0".repeat(52));
        let wide = printed(true, true);
        let cells =
            |line: usize| wide.lines().nth(line).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
        assert_eq!(
            cells(0),
            [
                "NAMESPACE",
                "NAME",
                "READY",
                "REASON",
                "REVISION",
                "SUSPENDED",
                "AGE",
                "LAST",
                "APPLIED",
                "DRIFTED",
                "VERIFIED",
                "SOURCE",
                "CLUSTER",
                "MESSAGE"
            ]
        );
        assert_eq!(
            cells(1),
            [
                "apps",
                "web",
                "True",
                "Good",
                "1@sha256:b39c4235dead",
                "true",
                "60s",
                &whole,
                "False",
                "Unknown",
                "oci://r/web",
                "applied"
            ]
        );
        assert_eq!(cells(2), ["b", "new", "false", "<unknown>", "oci://r/new"]);
    }

    #[test]
    fn the_cluster_of_the_objects_is_shown_where_a_release_has_one() {
        let release = |name: &str, cluster: Option<&str>| {
            json!({"metadata": {"name": name, "creationTimestamp": "1969-12-31T23:59:00Z"}, "spec": {"url": "oci://r/web"},
                "status": {"cluster": cluster}})
        };
        let releases = [release("web", None), release("far", Some("https://api.far.example:6443"))];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let table = Columns::of(false, false, &releases).table(&releases, Timestamp::UNIX_EPOCH);
        table.print(&mut Printer::new(&mut out, &mut err), true).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][6..], ["CLUSTER", "MESSAGE"]);
        assert_eq!(lines[1][1..], ["false", "60s"]);
        assert_eq!(lines[2][1..], ["false", "60s", "https://api.far.example:6443"]);
        assert!(!Columns::of(false, false, &releases[..1]).cluster);
    }

    #[test]
    fn a_wide_table_has_the_replicas_where_they_share_the_releases() {
        let release = |name: &str, holder: &str| json!({"metadata": {"name": name}, "spec": {"url": "oci://r/web"}, "status": {"owner": {"holder": holder}}});
        let releases = [release("web", "supercargo-1_0f3a"), release("new", "")];
        let columns = |wide: bool, releases: &[Value]| Columns::of(false, wide, releases);
        assert!(!columns(false, &releases).replica && !columns(true, &releases[1..]).replica);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let table = columns(true, &releases).table(&releases, Timestamp::UNIX_EPOCH);
        table.print(&mut Printer::new(&mut out, &mut err), true).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][10..], ["SOURCE", "CLUSTER", "REPLICA", "MESSAGE"]);
        assert_eq!(lines[1].last(), Some(&"supercargo-1"));
        assert_eq!(lines[2].last(), Some(&"oci://r/web"));
    }
}
