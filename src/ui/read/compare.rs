//! What a run would change, and what differs between two revisions: rendered when it is asked for.

use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::api::reason::Reason;
use crate::api::status::HistoryEntry;
use crate::builder::{BuildOptions, Builder};
use crate::cluster::session::Session;
use crate::domain::digest::is_digest;
use crate::domain::message::and_more;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::shown::fields::{id, text};
use crate::domain::shown::revisions::named;
use crate::fair::Share;
use crate::reconcile::frontend::command_line::Local;
use crate::reconcile::frontend::compare::{CompareError, Difference, of_revisions, with_cluster};
use crate::reconcile::frontend::workshop::Workshop;

/// How long a comparison may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// The most failures that are shown.
const MAX_FAILURES: usize = 20;

/// What differs.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The objects that differ.
    pub differences: Vec<Difference>,
    /// What a person should know, and what a dry run refuses.
    pub notes: Vec<String>,
}

/// Who compares, and with what.
pub struct Comparer<'v> {
    /// With whose rights everything is read.
    pub session: &'v Session,
    /// Its turn, which ends with the work.
    pub turn: Share,
    /// What the page of the operator renders with; absent: what the person has.
    pub workshop: Option<&'v Workshop>,
}

impl Comparison {
    /// Compares a release with its cluster, or two of its revisions. So many lines are kept of what differs from the
    /// cluster. It ends early when nobody waits for it any more.
    ///
    /// # Errors
    /// Why there is no comparison.
    pub async fn read(
        by: Comparer<'_>,
        release: Value,
        revisions: Option<(String, String)>,
        lines: usize,
    ) -> Result<Self, String> {
        let to = match by.workshop {
            Some(_) => check(&release, revisions.as_ref())?,
            None => None,
        };
        let turn = by.turn;
        let (session, workshop, runtime) = (by.session.clone(), by.workshop.cloned(), Handle::current());
        let left = CancellationToken::new();
        let waits = left.clone().drop_guard();
        // Rendering takes the processor for a while: not on a thread that answers.
        let work = move || {
            let _turn = turn;
            let workshop = workshop.as_ref();
            let compared = async {
                match revisions {
                    None => Self::with_cluster(session, release, to.as_deref(), (workshop, lines)).await,
                    Some((from, to)) => Self::of_revisions(session, release, (&from, &to), workshop).await,
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    compared = tokio::time::timeout(PATIENCE, Box::pin(compared)) => Some(compared),
                    () = left.cancelled() => None,
                }
            })
        };
        let seconds = PATIENCE.as_secs();
        let done = spawn_blocking(work).await;
        drop(waits);
        match done {
            Ok(Some(Ok(compared))) => compared,
            Ok(Some(Err(_))) => {
                Err(format!("it was not done within {seconds}s; use `supercargo diff release`"))
            }
            Ok(None) | Err(_) => {
                Err("the comparison has ended early; use `supercargo diff release`".to_owned())
            }
        }
    }

    async fn with_cluster(
        session: Session,
        release: Value,
        to: Option<&str>,
        (workshop, lines): (Option<&Workshop>, usize),
    ) -> Result<Self, String> {
        let (session, release) = match workshop {
            Some(workshop) => (session.bounded(&workshop.answers), correcting(release)),
            None => (session, release),
        };
        let equip = |local| equipped(local, workshop).showing(lines);
        let preview = with_cluster(session, release, to, equip).await.map_err(|e| why(&e))?;
        let failures = preview.failures.iter();
        let refused = failures.map(|failure| format!("dry run refused {}: {}", failure.id, failure.message));
        let mut notes: Vec<String> = refused.take(MAX_FAILURES).collect();
        notes.extend(and_more(preview.failures.len().saturating_sub(MAX_FAILURES)));
        let denied = preview.failures.iter().filter(|failure| failure.reason == Reason::AccessDenied).count();
        if workshop.is_some() && denied > 0 {
            notes.push(format!(
                "{denied} of {} objects are not compared: that takes the rights to get and patch them, and to create what is missing",
                preview.failures.len() + preview.objects.len()
            ));
        }
        notes.extend(preview.notes.iter().cloned());
        let all = Difference::of_preview(&preview);
        if workshop.is_none() {
            return Ok(Self { differences: all, notes });
        }
        notes.extend(preview.state.warning().map(str::to_owned));
        let count = all.len();
        let differences: Vec<Difference> = all.into_iter().filter_map(Difference::as_found).collect();
        let left_out = count - differences.len();
        if left_out > 0 {
            let steps = if left_out == 1 { "1 step is" } else { &format!("{left_out} steps are") };
            notes.push(format!("{steps} not compared: a step runs once for a revision"));
        }
        Ok(Self { differences, notes })
    }

    async fn of_revisions(
        session: Session,
        release: Value,
        revisions: (&str, &str),
        workshop: Option<&Workshop>,
    ) -> Result<Self, String> {
        let differences = of_revisions(session, release, revisions, |local| equipped(local, workshop)).await;
        Ok(Self { differences: differences.map_err(|e| why(&e))?, notes: Vec::new() })
    }
}

/// The release as if drift were corrected: what differs from the applied revision is shown in any case.
fn correcting(mut release: Value) -> Value {
    if let Some(mode) = release.pointer_mut("/spec/drift/mode") {
        *mode = "Correct".into();
    }
    release
}

/// With what the page renders.
fn equipped(local: Local, workshop: Option<&Workshop>) -> Local {
    match workshop {
        Some(workshop) => local.equipped(workshop),
        None => local.building(builder()),
    }
}

/// Whether the page of the operator compares that; for the cluster, the digest that it is compared with. The page
/// reaches registries from where the operator is: so it renders only what the operator has applied, and nothing that
/// needs the operator's own credentials or another cluster.
fn check(release: &Value, revisions: Option<&(String, String)>) -> Result<Option<String>, String> {
    let id = id(release);
    let elsewhere =
        |why: &str| Err(format!("{why}; use `supercargo diff release {} -n {}`", id.name, id.namespace));
    if release.pointer("/spec/kubeConfig").is_some_and(|config| !config.is_null()) {
        return elsewhere("its objects are in another cluster, which this page does not reach");
    }
    if !["", "generic"].contains(&text(release, "/spec/provider")) {
        return elsewhere(
            "its artifacts are pulled with the cloud identity of the operator, which this page does not use",
        );
    }
    let Some((from, to)) = revisions else {
        let applied = text(release, "/status/lastAppliedRevision").rsplit('@').next().unwrap_or_default();
        return match is_digest(applied) {
            true => Ok(Some(applied.to_owned())),
            false => elsewhere("no revision was applied yet, with which this page would compare the cluster"),
        };
    };
    let history = release.pointer("/status/history").cloned().unwrap_or_default();
    let history: Vec<HistoryEntry> = serde_json::from_value(history).unwrap_or_default();
    for name in [from, to] {
        let known = named(&history, name)?;
        if !history.iter().any(|entry| entry.digest == known.digest) {
            return elsewhere(&format!("revision {name} is not in the history"));
        }
    }
    Ok(None)
}

/// Builds as the operator does, by the programs on the `PATH`.
fn builder() -> Builder {
    Builder::new(BuildOptions::default())
}

fn why(error: &CompareError) -> String {
    match error {
        CompareError::Invalid(why) => why.clone(),
        CompareError::Metrics(error) => error.to_string(),
        CompareError::Failed(outcome) => failed(outcome),
    }
}

fn failed(outcome: &Outcome) -> String {
    match &outcome.verdict {
        Verdict::Failed { message, .. } | Verdict::Waiting { message, .. } => message.clone(),
        _ => "it did not finish".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::cluster::session::connection::Connection;
    use crate::observe::metrics::Metrics;
    use crate::ui::read::turns::ComparisonTurns;

    #[test]
    fn the_operator_compares_only_what_it_has_applied_with_the_rights_of_the_person() {
        let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let entry = |letter: &str, tag: &str| {
            json!({"revision": format!("{tag}@{}", digest(letter)), "digest": digest(letter),
                "appliedAt": "2026-01-01T00:00:00Z", "outcome": "Healthy", "changes": {"created": 1,
                "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0}})
        };
        let history = json!([entry("a", "2"), entry("b", "1")]);
        let says = |spec: Value, revisions: Option<(&str, &str)>, expected: Option<&str>| {
            let release = json!({"metadata": {"namespace": "apps", "name": "web"}, "spec": spec,
                "status": {"history": history, "lastAppliedRevision": format!("1@{}", digest("b")),
                    "lastAttemptedRevision": format!("3@{}", digest("c"))}});
            let revisions = revisions.map(|(from, to)| (from.to_owned(), to.to_owned()));
            let found = check(&release, revisions.as_ref());
            match expected {
                None => {
                    let applied = revisions.is_none().then(|| digest("b"));
                    assert_eq!(found, Ok(applied));
                }
                Some(says) => {
                    let why = found.expect_err(says);
                    assert!(why.contains(says), "{why}");
                }
            }
        };
        let plain = json!({"url": "oci://r/a"});
        says(plain.clone(), Some(("1", "2")), None);
        says(plain.clone(), Some((&digest("a"), "1")), None);
        // With the cluster, what was applied last, whatever is attempted now.
        says(plain.clone(), None, None);
        says(plain.clone(), Some(("1", "3")), Some("revision 3 is not in the history"));
        let other = digest("c");
        says(
            plain,
            Some(("1", &other)),
            Some("is not in the history; use `supercargo diff release web -n apps`"),
        );
        let there = json!({"url": "oci://r/a", "kubeConfig": {"secretRef": {"name": "there"}}});
        let cloud = json!({"url": "oci://r/a", "provider": "aws"});
        for revisions in [None, Some(("1", "2"))] {
            says(there.clone(), revisions, Some("its objects are in another cluster"));
            says(cloud.clone(), revisions, Some("the cloud identity of the operator"));
        }
        for applied in [json!(null), json!("1"), json!("1@sha256:a"), json!(format!("{}@x", digest("b")))] {
            let release = json!({"metadata": {"namespace": "apps", "name": "web"}, "spec": {"url": "oci://r/a"},
                "status": {"lastAppliedRevision": applied}});
            let why = check(&release, None).expect_err("there is none");
            assert!(why.starts_with("no revision was applied yet"), "{applied}: {why}");
        }
    }

    #[tokio::test]
    async fn a_comparison_ends_when_nobody_waits_for_it_any_more() {
        // It accepts connections, and never answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Some(format!("http://{}", silent.local_addr().unwrap()));
        let connection = Connection { server, ..Connection::default() };
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let session = Session::connect(&connection, metrics).await.unwrap();
        let turns = ComparisonTurns::of_many();
        let release = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"namespace": "apps", "name": "web"}, "spec": {"url": "oci://r.io/a", "prune": true}});
        let turn = turns.take("amara").await.unwrap();
        let by = Comparer { session: &session, turn, workshop: None };
        let mut read = Box::pin(Comparison::read(by, release, None, 10));
        tokio::select! {
            ended = &mut read => panic!("{ended:?}"),
            asked = silent.accept() => drop(asked.unwrap()),
        }
        let mut next = Box::pin(turns.take("amara"));
        assert!(futures::poll!(&mut next).is_pending());
        drop(read);
        // The next comparison of this person does not wait for the first one.
        let next = tokio::time::timeout(Duration::from_secs(10), next).await;
        drop(next.expect("its turn is over").unwrap());
    }
}
