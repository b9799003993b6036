//! `supercargo get releases`, and how the verbs find a release.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::status::condition;
use crate::cli::args::{GetReleases, Output};
use crate::cli::interrupt::or_interrupted;
use crate::cli::print::age::age;
use crate::cli::print::color::Tone;
use crate::cli::print::output;
use crate::cli::print::table::{Cell, Table};
use crate::cli::{CliError, Printer};
use crate::cluster::browse::Seen;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::status::short_revision;

/// How many names are told when one is not there.
const MAX_NAMES: usize = 5;

/// Lists releases.
pub(super) async fn get(
    arguments: &GetReleases,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let GetReleases { names, all_namespaces, selector, watch, output } = arguments;
    if !names.is_empty() && (*all_namespaces || selector.is_some()) {
        let flag = if *all_namespaces { "-A" } else { "-l" };
        return Err(CliError::Usage(format!("names and {flag} exclude each other")));
    }
    let format = output.output.format();
    if *watch && format.is_some() {
        return Err(CliError::Usage("--watch prints tables only".into()));
    }
    let namespace = (!all_namespaces).then(|| session.default_namespace().to_owned());
    if *watch {
        let following = follow(arguments, namespace, session, printer);
        return or_interrupted(following, || "no longer watching".into()).await;
    }
    let (found, missing) = match (names.as_slice(), &namespace) {
        ([], _) | (_, None) => {
            (session.list_releases(namespace.as_deref(), selector.as_deref()).await?, Vec::new())
        }
        (names, Some(namespace)) => named(session, namespace, names).await?,
    };
    match format {
        Some(format) => output::objects(printer, format, found, names.len() == 1)?,
        None if found.is_empty() && missing.is_empty() => match &namespace {
            Some(namespace) => printer.say(format!("no releases found in namespace {namespace}")),
            None => printer.say("no releases found"),
        },
        None if !found.is_empty() => {
            let columns = Columns { namespace: *all_namespaces, wide: output.output == Output::Wide };
            columns.table(&found, Timestamp::now()).print(printer, !output.no_headers)?;
        }
        None => {}
    }
    printer.finish()?;
    if missing.is_empty() { Ok(()) } else { Err(CliError::Several(missing.into_iter().collect())) }
}

/// Those of the names that are there, and what is to be said of the others.
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

/// A release that has to be there.
pub(super) async fn find(session: &Session, release: &ReleaseId) -> Result<Value, CliError> {
    match session.find_release(release).await? {
        Some(value) => Ok(value),
        None => Err(CliError::Failed(absent(session, release).await)),
    }
}

/// That a release is not there, and which one may have been meant.
pub(super) async fn absent(session: &Session, release: &ReleaseId) -> String {
    let text = format!("there is no release {} in namespace {}", release.name, release.namespace);
    // Who may not look around gets no hint.
    let others = match session.list_releases(None, None).await {
        Err(ApiError::Status(_)) => session.list_releases(Some(&release.namespace), None).await,
        others => others,
    };
    let others: Vec<ReleaseId> = others.unwrap_or_default().iter().map(id).collect();
    format!("{text}{}", hint(release, &others))
}

fn hint(release: &ReleaseId, others: &[ReleaseId]) -> String {
    let elsewhere: Vec<&str> =
        others.iter().filter(|o| o.name == release.name).map(|o| o.namespace.as_str()).collect();
    if !elsewhere.is_empty() {
        return format!("; there is one of that name in {}", list(&elsewhere));
    }
    let here: Vec<&str> =
        others.iter().filter(|o| o.namespace == release.namespace).map(|o| o.name.as_str()).collect();
    match here.is_empty() {
        true => String::new(),
        false => format!("; the namespace has {}", list(&here)),
    }
}

fn list(names: &[&str]) -> String {
    let mut text = names.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMES {
        text.push_str(&format!(" and {} more", names.len() - MAX_NAMES));
    }
    text
}

/// Namespace and name of a release.
pub(super) fn id(release: &Value) -> ReleaseId {
    ReleaseId {
        namespace: text(release, "/metadata/namespace").to_owned(),
        name: text(release, "/metadata/name").to_owned(),
    }
}

/// The text at a JSON pointer; empty when there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A condition of a release.
pub(super) fn condition_of<'v>(release: &'v Value, kind: &str) -> Option<&'v Value> {
    release.pointer("/status/conditions")?.as_array()?.iter().find(|c| text(c, "/type") == kind)
}

/// The colour of a condition's status.
pub(super) fn tone(status: &str) -> Tone {
    match status {
        "True" => Tone::Good,
        "False" => Tone::Bad,
        _ => Tone::Pending,
    }
}

/// Which columns the table has: those of the definition.
#[derive(Clone, Copy)]
struct Columns {
    namespace: bool,
    wide: bool,
}

impl Columns {
    fn table(self, releases: &[Value], now: Timestamp) -> Table {
        let mut headers = vec!["NAME", "READY", "REASON", "REVISION", "SUSPENDED", "AGE"];
        if self.namespace {
            headers.insert(0, "NAMESPACE");
        }
        if self.wide {
            headers.extend(["DRIFTED", "VERIFIED", "SOURCE"]);
        }
        // The one that may be long is the last.
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
        // A status that an older operator wrote has the whole revision only.
        let revision = short_revision(text(release, "/status/lastAppliedRevision"));
        let mut row = vec![
            cell("/metadata/name"),
            Cell::toned(status, tone(status)),
            text(ready, "/reason").into(),
            revision.into(),
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
                Cell::toned(drifted, drift),
                Cell::toned(verified, tone(verified)),
                cell("/spec/url"),
            ]);
        }
        row.push(text(ready, "/message").into());
        row
    }
}

/// Prints the list, and then a line for every change.
async fn follow(
    arguments: &GetReleases,
    namespace: Option<String>,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let GetReleases { names, selector, output, .. } = arguments;
    // A kind that is not served is an error, and not something to wait for.
    session.list_releases(namespace.as_deref(), selector.as_deref()).await?;
    let columns = Columns { namespace: namespace.is_none(), wide: output.output == Output::Wide };
    let (sender, mut seen) = mpsc::unbounded_channel();
    let watching = session.clone().follow_releases(namespace, selector.clone(), sender);
    tokio::pin!(watching);
    let mut shown: BTreeMap<ReleaseId, String> = BTreeMap::new();
    let (mut first, mut headers, mut widths) = (Some(Vec::new()), !output.no_headers, Vec::new());
    loop {
        let event = tokio::select! {
            () = &mut watching => return Ok(()),
            event = seen.recv() => event,
        };
        let change = match event {
            None => return Ok(()),
            Some(Seen::Failed(why)) => return Err(CliError::Failed(why)),
            Some(Seen::Listed) => first.take().unwrap_or_default(),
            Some(Seen::Absent(release)) => {
                shown.remove(&id(&release));
                Vec::new()
            }
            Some(Seen::Present(release)) => {
                let version = text(&release, "/metadata/resourceVersion").to_owned();
                let wanted = names.is_empty() || names.iter().any(|n| n == text(&release, "/metadata/name"));
                let news = shown.insert(id(&release), version.clone()).is_none_or(|old| old != version);
                match &mut first {
                    Some(first) if wanted && news => {
                        first.push(release);
                        Vec::new()
                    }
                    None if wanted && news => vec![release],
                    _ => Vec::new(),
                }
            }
        };
        if !change.is_empty() {
            let table = columns.table(&change, Timestamp::now());
            table.print_below(printer, std::mem::take(&mut headers), &mut widths)?;
            printer.finish()?;
            if printer.is_unread() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release(namespace: &str, name: &str) -> ReleaseId {
        ReleaseId { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_name_that_is_not_there_leads_to_one_that_is() {
        let check = |others: &[(&str, &str)], expected: &str| {
            let others: Vec<_> = others.iter().map(|(namespace, name)| release(namespace, name)).collect();
            assert_eq!(hint(&release("apps", "web"), &others), expected);
        };
        check(&[], "");
        check(&[("other", "db")], "");
        check(&[("apps", "db"), ("apps", "wep")], "; the namespace has db, wep");
        check(&[("apps", "db"), ("a", "web"), ("b", "web")], "; there is one of that name in a, b");
    }

    #[test]
    fn the_table_has_the_columns_of_the_definition() {
        let releases = [
            json!({"metadata": {"namespace": "apps", "name": "web", "creationTimestamp": "1969-12-31T23:59:00Z"},
            "spec": {"url": "oci://r/web", "suspend": true},
            "status": {"lastAppliedRevision": "1@sha256:b39c4235dead", "inventory": {"entries": 3},
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Good", "message": "applied"},
                    {"type": "Drifted", "status": "False", "message": "every object"},
                    {"type": "Verified", "status": "Unknown", "message": "nobody asks"},
                ]}}),
            json!({"metadata": {"namespace": "b", "name": "new"}, "spec": {"url": "oci://r/new"}}),
        ];
        let printed = |namespace: bool, wide: bool| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let table = Columns { namespace, wide }.table(&releases, Timestamp::UNIX_EPOCH);
            table.print(&mut Printer::new(&mut out, &mut err), true).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            printed(false, false),
            "NAME   READY   REASON   REVISION     SUSPENDED   AGE         MESSAGE\n\
             web    True    Good     1@b39c4235   true        60s         applied\n\
             new                                  false       <unknown>\n"
        );
        assert_eq!(
            printed(true, true),
            "NAMESPACE   NAME   READY   REASON   REVISION     SUSPENDED   AGE         DRIFTED   VERIFIED   SOURCE        MESSAGE\n\
             apps        web    True    Good     1@b39c4235   true        60s         False     Unknown    oci://r/web   applied\n\
             b           new                                  false       <unknown>                        oci://r/new\n"
        );
    }
}
