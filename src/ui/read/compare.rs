//! What a run would change, and what differs between two revisions: rendered when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::builder::{BuildOptions, Builder};
use crate::cluster::session::Session;
use crate::domain::message::and_more;
use crate::domain::outcome::{Outcome, Verdict};
use crate::reconcile::frontend::compare::{CompareError, Difference, of_revisions, with_cluster};

/// How long a comparison may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Comparisons at a time: each fetches and renders artifacts.
pub const AT_ONCE: usize = 2;
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

impl Comparison {
    /// Compares a release with its cluster, or two of its revisions.
    ///
    /// # Errors
    /// Why there is no comparison.
    pub async fn read(
        session: &Session,
        turns: &Arc<Semaphore>,
        release: Value,
        revisions: Option<(String, String)>,
    ) -> Result<Self, String> {
        // Never closed. The turn ends with the work, also when nobody waits for it any more.
        let turn = Arc::clone(turns).acquire_owned().await.ok();
        let (session, runtime) = (session.clone(), Handle::current());
        // Rendering takes the processor for a while: not on a thread that answers.
        let work = move || {
            let _turn = turn;
            let compared = async {
                match revisions {
                    None => Self::with_cluster(&session, release).await,
                    Some((from, to)) => Self::of_revisions(&session, release, (&from, &to)).await,
                }
            };
            runtime.block_on(async { tokio::time::timeout(PATIENCE, Box::pin(compared)).await })
        };
        let seconds = PATIENCE.as_secs();
        match spawn_blocking(work).await {
            Ok(Ok(compared)) => compared,
            Ok(Err(_)) => Err(format!("it was not done within {seconds}s; use `supercargo diff release`")),
            Err(_) => Err("the comparison has ended early; use `supercargo diff release`".to_owned()),
        }
    }

    async fn with_cluster(session: &Session, release: Value) -> Result<Self, String> {
        let preview = with_cluster(session.clone(), release, None, builder()).await.map_err(|e| why(&e))?;
        let failures = preview.failures.iter();
        let refused = failures.map(|failure| format!("dry run refused {}: {}", failure.id, failure.message));
        let mut notes: Vec<String> = refused.take(MAX_FAILURES).collect();
        notes.extend(and_more(preview.failures.len().saturating_sub(MAX_FAILURES)));
        notes.extend(preview.notes.iter().cloned());
        Ok(Self { differences: Difference::of_preview(&preview), notes })
    }

    async fn of_revisions(
        session: &Session,
        release: Value,
        revisions: (&str, &str),
    ) -> Result<Self, String> {
        let differences = of_revisions(session.clone(), release, revisions, builder).await;
        Ok(Self { differences: differences.map_err(|e| why(&e))?, notes: Vec::new() })
    }
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
