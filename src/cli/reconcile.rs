//! `reconcile release`, `suspend release` and `resume release`: what a person
//! asks of the operator, and the wait for what comes of it.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::keys;
use crate::api::status::condition;
use crate::cli::args::{ReconcileRelease, ReleaseNames};
use crate::cli::interrupt::or_interrupted;
use crate::cli::print::text::folded;
use crate::cli::releases::{absent, condition_of, id, text};
use crate::cli::status::why;
use crate::cli::{CliError, Printer};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;

/// Between two looks at the releases that are waited for, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Releases that are asked or looked at at once.
const PARALLEL: usize = 16;

/// Asks for a run of each release, and waits for it.
pub(super) async fn reconcile(
    arguments: &ReconcileRelease,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    or_interrupted(run(arguments, session, printer, false), || left(arguments)).await
}

/// Lets the operator go on with each release, and waits for it.
pub(super) async fn resume(
    arguments: &ReconcileRelease,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    or_interrupted(run(arguments, session, printer, true), || left(arguments)).await
}

/// What goes on after Ctrl-C.
fn left(arguments: &ReconcileRelease) -> String {
    let name = arguments.which.names.first().map_or("NAME", String::as_str);
    format!("the operator goes on with what it was asked; supercargo status release {name} shows it")
}

/// Lets the operator leave releases alone.
pub(super) async fn suspend(
    arguments: &ReleaseNames,
    session: &Session,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let releases = chosen(arguments, session, printer).await?;
    let (suspended, failed) = change(session, &releases, &json!({"spec": {"suspend": true}})).await;
    for release in suspended {
        printer.line(format!("{} suspended", id(&release)))?;
    }
    ended(failed)
}

async fn run(
    arguments: &ReconcileRelease,
    session: &Session,
    printer: &mut Printer<'_>,
    resumes: bool,
) -> Result<(), CliError> {
    let releases = chosen(&arguments.which, session, printer).await?;
    // A value that has not been there: nobody asks twice in a nanosecond.
    let token = Timestamp::now().to_string();
    let mut patch = json!({"metadata": {"annotations": {(keys::RECONCILE_AT): token}}});
    if resumes {
        patch["spec"] = json!({"suspend": false});
    }
    let (asked, mut failed) = change(session, &releases, &patch).await;
    for release in &asked {
        match (resumes, arguments.wait) {
            (true, _) => printer.line(format!("{} resumed", id(release)))?,
            (false, false) => printer.line(format!("{} asked to reconcile", id(release)))?,
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

fn ended(failed: Vec<String>) -> Result<(), CliError> {
    if failed.is_empty() {
        Ok(())
    } else {
        Err(CliError::Several(failed.iter().map(|why| folded(why)).collect()))
    }
}

/// The releases that are meant.
async fn chosen(
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

/// Changes each release. Returns those that were, and what is to be said of the
/// others.
async fn change(session: &Session, releases: &[ReleaseId], patch: &Value) -> (Vec<Value>, Vec<String>) {
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
            // The same for all, such as a cluster that does not answer, is said once.
            Err(why) if failed.contains(&why) => {}
            Err(why) => failed.push(why),
        }
    }
    (changed, failed)
}

/// What is to be said of a release that was waited for.
#[derive(Debug, PartialEq)]
enum Word {
    /// The operator has acted, and this is what came of it.
    Good(String),
    /// The same, and it is not what was wanted.
    Bad(String),
    /// It is not over.
    Waiting(String),
}

/// Judges a release by the request that was made.
fn judge(release: &Value, token: &str) -> Word {
    let id = id(release);
    let ready = condition_of(release, condition::READY).unwrap_or(&Value::Null);
    let handled = text(release, "/status/lastHandledReconcileAt");
    let annotations = release.pointer("/metadata/annotations");
    let asked = annotations.and_then(|a| a.get(keys::RECONCILE_AT)).and_then(Value::as_str);
    // A newer request of somebody else is as good: its result is newer too.
    if handled != token && asked.is_none_or(|asked| asked == token || asked != handled) {
        // While a failed revision is tried again, Ready is still about the failure.
        let runs =
            condition_of(release, condition::RECONCILING).filter(|c| text(c, "/reason") == "Progressing");
        return Word::Waiting(match (runs, text(ready, "/status")) {
            (Some(runs), _) => why(runs).to_owned(),
            (None, "Unknown") => why(ready).to_owned(),
            (None, _) => "the operator has not begun".to_owned(),
        });
    }
    let revision = text(release, "/status/lastAppliedRevision");
    let away = condition_of(release, condition::FETCH_FAILED).filter(|c| text(c, "/status") == "True");
    match text(ready, "/status") {
        // What is applied is as it should be, and whether it is the newest nobody knows.
        "True" if away.is_some() => {
            let why = away.map_or("", |c| text(c, "/message"));
            Word::Bad(format!("{id} cannot check for updates: {why}; revision {revision} stays applied"))
        }
        "True" => Word::Good(format!("{id} reconciled: revision {revision}: {}", why(ready))),
        // Suspended ones that were never applied have nothing to be ready with.
        "Unknown" if release.pointer("/spec/suspend") == Some(&Value::Bool(true)) => {
            Word::Good(format!("{id} reconciled: {}", why(ready)))
        }
        _ => Word::Bad(format!("{id} is not ready: {}", why(ready))),
    }
}

struct Wait<'a> {
    session: &'a Session,
    token: &'a str,
    timeout: Duration,
}

impl Wait<'_> {
    /// Waits until the operator has acted on all; returns what went wrong.
    async fn run(&self, asked: Vec<ReleaseId>, printer: &mut Printer<'_>) -> Result<Vec<String>, CliError> {
        let progress = printer.progress();
        let give_up = Instant::now() + self.timeout;
        let (mut waiting, mut failed) = (asked, Vec::new());
        let mut pause = FIRST_LOOK;
        loop {
            let mut left = Vec::new();
            for (release, word) in self.look(&waiting).await? {
                match word {
                    Word::Good(text) => printer.line(folded(&text))?,
                    Word::Bad(text) => failed.push(text),
                    Word::Waiting(why) => left.push((release, why)),
                }
            }
            printer.finish()?;
            if left.is_empty() {
                progress.clear();
                return Ok(failed);
            }
            if Instant::now() >= give_up {
                progress.clear();
                failed.extend(left.iter().map(|(release, why)| self.late(release, why)));
                return Ok(failed);
            }
            let shown: Vec<_> =
                left.iter().map(|(release, why)| (release.to_string(), why.clone())).collect();
            progress.waiting(&shown);
            tokio::time::sleep_until((Instant::now() + pause).min(give_up)).await;
            pause = (pause * 3 / 2).min(LONGEST_LOOK);
            waiting = left.into_iter().map(|(release, _)| release).collect();
        }
    }

    fn late(&self, release: &ReleaseId, why: &str) -> String {
        format!(
            "{release} was not reconciled within {}s: {why}; is the operator running?",
            self.timeout.as_secs()
        )
    }

    async fn look(&self, waiting: &[ReleaseId]) -> Result<Vec<(ReleaseId, Word)>, CliError> {
        type Look = (ReleaseId, Result<Option<Value>, ApiError>);
        let looks: Vec<BoxFuture<'_, Look>> = waiting
            .iter()
            .map(|release| {
                let look = async move { (release.clone(), self.session.find_release(release).await) };
                Box::pin(look) as BoxFuture<'_, Look>
            })
            .collect();
        let mut answers = futures::stream::iter(looks).buffered(PARALLEL);
        let mut words = Vec::new();
        while let Some((release, answer)) = answers.next().await {
            let word = match answer {
                Ok(Some(value)) => judge(&value, self.token),
                Ok(None) => Word::Bad(format!("{release} was deleted meanwhile")),
                // It may come back: the time to wait is the person's.
                Err(error) if error.is_transient() => Word::Waiting(CliError::from(error).chain()),
                Err(error) => return Err(error.into()),
            };
            words.push((release, word));
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_over_when_the_operator_names_it() {
        let check = |handled: &str, status: &str, suspended: bool, expected: Word| {
            let release = json!({
                "metadata": {"namespace": "apps", "name": "web"},
                "spec": {"suspend": suspended},
                "status": {"lastHandledReconcileAt": handled, "lastAppliedRevision": "1@sha256:a",
                    "conditions": [{"type": "Ready", "status": status, "message": "says so"}]},
            });
            assert_eq!(judge(&release, "now"), expected);
        };
        check("", "True", false, Word::Waiting("the operator has not begun".into()));
        check("before", "Unknown", false, Word::Waiting("says so".into()));
        check("now", "True", false, Word::Good("apps/web reconciled: revision 1@sha256:a: says so".into()));
        check("now", "False", false, Word::Bad("apps/web is not ready: says so".into()));
        check("now", "Unknown", true, Word::Good("apps/web reconciled: says so".into()));
        let away = json!({
            "metadata": {"namespace": "apps", "name": "web"},
            "status": {"lastHandledReconcileAt": "now", "lastAppliedRevision": "1@sha256:a", "conditions": [
                {"type": "Ready", "status": "True", "message": "fine"},
                {"type": "FetchFailed", "status": "True", "message": "no answer"}]},
        });
        let expected = "apps/web cannot check for updates: no answer; revision 1@sha256:a stays applied";
        assert_eq!(judge(&away, "now"), Word::Bad(expected.into()));
        let retried = json!({
            "metadata": {"namespace": "apps", "name": "web"},
            "status": {"conditions": [{"type": "Ready", "status": "False", "message": "failed"},
                {"type": "Reconciling", "status": "True", "reason": "Progressing", "message": "waits"}]},
        });
        assert_eq!(judge(&retried, "now"), Word::Waiting("waits".into()));
        let newer = json!({
            "metadata": {"namespace": "apps", "name": "web", "annotations": {"supercargo.dev/reconcile-at": "later"}},
            "status": {"lastHandledReconcileAt": "later", "conditions": [{"type": "Ready", "status": "True", "message": "fine"}]},
        });
        assert_eq!(judge(&newer, "now"), Word::Good("apps/web reconciled: revision : fine".into()));
        let fresh = json!({"metadata": {"namespace": "apps", "name": "web"}});
        assert_eq!(judge(&fresh, "now"), Word::Waiting("the operator has not begun".into()));
    }
}
