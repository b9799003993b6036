//! A person's request to the operator: which releases, and the annotation that
//! requests a run.

use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use super::fields::id;
use super::find::absent;
use super::wait::Wait;
use crate::cli::args::{ClusterArgs, ReleaseNames, RequestArgs};
use crate::cli::interrupt::or_interrupted;
use crate::cli::print::text::folded;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::shown::verbs::PersonRequest;

/// Releases that are changed at once.
const PARALLEL: usize = 16;

/// Requests a run of each release; after Ctrl-C, says what continues.
pub(super) async fn run(
    arguments: &RequestArgs,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
    resumes: bool,
) -> Result<(), CliError> {
    let session = connect(cluster).await?;
    or_interrupted(request(arguments, &session, printer, resumes), || left(arguments)).await
}

/// Requests a run of each release, resumes the suspended ones if `resumes` is set,
/// and waits for the result.
async fn request(
    arguments: &RequestArgs,
    session: &Session,
    printer: &mut Printer<'_>,
    resumes: bool,
) -> Result<(), CliError> {
    let releases = chosen(&arguments.which, session, printer).await?;
    // A new value each time: no two requests fall into one nanosecond.
    let now = Timestamp::now();
    let (verb, token) =
        (if resumes { PersonRequest::Resume } else { PersonRequest::Reconcile }, now.to_string());
    let (asked, mut failed) = change(session, &releases, &verb.patch(now, None)).await;
    for release in &asked {
        match (resumes, arguments.wait) {
            (true, _) => printer.line(format!("{} resumed", id(release)))?,
            (false, false) => printer.line(format!("{} reconciliation requested", id(release)))?,
            (false, true) => printer.say(format!("reconciling {}...", id(release))),
        }
    }
    printer.finish()?;
    if arguments.wait && !asked.is_empty() {
        let wait = Wait { session, token: &token, timeout: arguments.timeout };
        let asked = asked.iter().map(id).collect();
        failed.extend(wait.run(asked, printer).await?);
    }
    ended(failed)
}

/// Fails with the messages about releases that were not changed or are not ready.
pub(super) fn ended(failed: Vec<String>) -> Result<(), CliError> {
    if failed.is_empty() {
        Ok(())
    } else {
        Err(CliError::Several(failed.iter().map(|why| folded(why)).collect()))
    }
}

/// The releases that the arguments name.
pub(super) async fn chosen(
    arguments: &ReleaseNames,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<Vec<ReleaseId>, CliError> {
    let namespace = session.default_namespace();
    if !arguments.all {
        let of = |name: &String| ReleaseId { namespace: namespace.to_owned(), name: name.clone() };
        let mut chosen: Vec<_> = arguments.names.iter().map(of).collect();
        chosen.sort();
        chosen.dedup();
        return Ok(chosen);
    }
    let all: Vec<_> = session.list_releases(Some(namespace), None).await?.iter().map(id).collect();
    if all.is_empty() {
        printer.say(format!("no releases found in namespace {namespace}"));
    }
    Ok(all)
}

/// Changes each release. Returns the changed ones, and a message for each of the
/// others.
pub(super) async fn change(
    session: &Session,
    releases: &[ReleaseId],
    patch: &Value,
) -> (Vec<Value>, Vec<String>) {
    let changes: Vec<BoxFuture<'_, Result<Value, String>>> = releases
        .iter()
        .map(|release| {
            let change = async move {
                match session.change_release(release, patch).await {
                    Ok(Some(changed)) => Ok(changed),
                    Ok(None) => Err(absent(session, release).await),
                    Err(error) => Err(CliError::from(error).chain()),
                }
            };
            Box::pin(change) as BoxFuture<'_, Result<Value, String>>
        })
        .collect();
    let (mut changed, mut failed) = (Vec::new(), Vec::new());
    let mut answers = futures::stream::iter(changes).buffered(PARALLEL);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(release) => changed.push(release),
            // A message about all, such as a cluster that does not answer, is printed once.
            Err(why) if failed.contains(&why) => {}
            Err(why) => failed.push(why),
        }
    }
    (changed, failed)
}

/// What continues after Ctrl-C.
fn left(arguments: &RequestArgs) -> String {
    let name = arguments.which.names.first().map_or("NAME", String::as_str);
    format!("reconciliation continues in the cluster; see supercargo status release {name}")
}
