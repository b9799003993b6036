//! The wait for the result of a request, read from the status of the releases.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::time::Instant;

use super::fields::{condition_of, id, text, why};
use crate::api::keys;
use crate::api::status::condition;
use crate::cli::print::text::folded;
use crate::cli::{CliError, Printer};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ReleaseId;

/// The time between two reads of the releases, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Releases that are read at once.
const PARALLEL: usize = 16;

/// The result of a release that was waited for.
#[derive(Debug, PartialEq)]
enum RequestState {
    /// The operator has handled the request, with this result.
    Good(String),
    /// The same, and the release is not as wanted.
    Bad(String),
    /// The operator has not finished.
    Waiting(String),
}

/// Judges a release by the request that was made.
fn judge(release: &Value, token: &str) -> RequestState {
    let id = id(release);
    let ready = condition_of(release, condition::READY).unwrap_or(&Value::Null);
    let handled = text(release, "/status/lastHandledReconcileAt");
    let annotations = release.pointer("/metadata/annotations");
    let asked = annotations.and_then(|a| a.get(keys::RECONCILE_AT)).and_then(Value::as_str);
    // A newer request counts too: its result is newer.
    if handled != token && asked.is_none_or(|asked| asked == token || asked != handled) {
        // While a failed revision is retried, Ready is still about the failure.
        let runs =
            condition_of(release, condition::RECONCILING).filter(|c| text(c, "/reason") == "Progressing");
        return RequestState::Waiting(match (runs, text(ready, "/status")) {
            (Some(runs), _) => why(runs).to_owned(),
            (None, "Unknown") => why(ready).to_owned(),
            (None, _) => "the operator has not started this run".to_owned(),
        });
    }
    let revision = shortened(text(release, "/status/lastAppliedRevision"));
    let away = condition_of(release, condition::FETCH_FAILED).filter(|c| text(c, "/status") == "True");
    match text(ready, "/status") {
        // The applied revision is ready; whether it is the newest is unknown.
        "True" if away.is_some() => {
            let why = away.map_or("", |c| text(c, "/message"));
            RequestState::Bad(format!(
                "{id} cannot check for updates: {why}; revision {revision} remains applied"
            ))
        }
        "True" => RequestState::Good(format!("{id} reconciled: revision {revision}: {}", why(ready))),
        // A suspended release that was never applied cannot become ready.
        "Unknown" if release.pointer("/spec/suspend") == Some(&Value::Bool(true)) => {
            RequestState::Good(format!("{id} reconciled: {}", why(ready)))
        }
        _ => RequestState::Bad(format!("{id} is not ready: {}", why(ready))),
    }
}

/// A wait for releases with a request.
pub(super) struct Wait<'a> {
    /// The cluster.
    pub session: &'a Session,
    /// The value of the request's annotation.
    pub token: &'a str,
    /// How long.
    pub timeout: Duration,
}

impl Wait<'_> {
    /// Waits until the operator has handled all; returns the failures.
    pub async fn run(
        &self,
        asked: Vec<ReleaseId>,
        printer: &mut Printer<'_>,
    ) -> Result<Vec<String>, CliError> {
        let progress = printer.progress();
        let give_up = Instant::now() + self.timeout;
        let (mut waiting, mut failed) = (asked, Vec::new());
        let mut pause = FIRST_PAUSE;
        loop {
            let mut left = Vec::new();
            for (release, word) in self.look(&waiting).await? {
                match word {
                    RequestState::Good(text) => printer.line(folded(&text))?,
                    RequestState::Bad(text) => failed.push(text),
                    RequestState::Waiting(why) => left.push((release, why)),
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
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            waiting = left.into_iter().map(|(release, _)| release).collect();
        }
    }

    fn late(&self, release: &ReleaseId, why: &str) -> String {
        format!(
            "{release} timed out after {}s: {why}; check that the operator is running",
            self.timeout.as_secs()
        )
    }

    async fn look(&self, waiting: &[ReleaseId]) -> Result<Vec<(ReleaseId, RequestState)>, CliError> {
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
                Ok(None) => RequestState::Bad(format!("{release} was deleted")),
                // The error may pass: the person's time limit decides.
                Err(error) if error.is_transient() => RequestState::Waiting(CliError::from(error).chain()),
                Err(error) => return Err(error.into()),
            };
            words.push((release, word));
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_over_when_the_operator_names_it() {
        let check = |handled: &str, status: &str, suspended: bool, expected: RequestState| {
            let release = json!({
                "metadata": {"namespace": "apps", "name": "web"},
                "spec": {"suspend": suspended},
                "status": {"lastHandledReconcileAt": handled, "lastAppliedRevision": "1@sha256:a",
                    "conditions": [{"type": "Ready", "status": status, "message": "says so"}]},
            });
            assert_eq!(judge(&release, "now"), expected);
        };
        check("", "True", false, RequestState::Waiting("the operator has not started this run".into()));
        check("before", "Unknown", false, RequestState::Waiting("says so".into()));
        check(
            "now",
            "True",
            false,
            RequestState::Good("apps/web reconciled: revision 1@sha256:a: says so".into()),
        );
        check("now", "False", false, RequestState::Bad("apps/web is not ready: says so".into()));
        check("now", "Unknown", true, RequestState::Good("apps/web reconciled: says so".into()));
        let away = json!({
            "metadata": {"namespace": "apps", "name": "web"},
            "status": {"lastHandledReconcileAt": "now", "lastAppliedRevision": "1@sha256:a", "conditions": [
                {"type": "Ready", "status": "True", "message": "fine"},
                {"type": "FetchFailed", "status": "True", "message": "no answer"}]},
        });
        let expected = "apps/web cannot check for updates: no answer; revision 1@sha256:a remains applied";
        assert_eq!(judge(&away, "now"), RequestState::Bad(expected.into()));
        let retried = json!({
            "metadata": {"namespace": "apps", "name": "web"},
            "status": {"conditions": [{"type": "Ready", "status": "False", "message": "failed"},
                {"type": "Reconciling", "status": "True", "reason": "Progressing", "message": "waits"}]},
        });
        assert_eq!(judge(&retried, "now"), RequestState::Waiting("waits".into()));
        let newer = json!({
            "metadata": {"namespace": "apps", "name": "web", "annotations": {"supercargo.dev/reconcile-at": "later"}},
            "status": {"lastHandledReconcileAt": "later", "conditions": [{"type": "Ready", "status": "True", "message": "fine"}]},
        });
        assert_eq!(judge(&newer, "now"), RequestState::Good("apps/web reconciled: revision : fine".into()));
        let fresh = json!({"metadata": {"namespace": "apps", "name": "web"}});
        assert_eq!(
            judge(&fresh, "now"),
            RequestState::Waiting("the operator has not started this run".into())
        );
    }
}
