//! Builds the kustomization of an artifact to manifests.

use std::time::Instant;

use crate::api::reason::Reason;
use crate::builder::BuildError;
use crate::observe::labels::{BuildResult, Phase};
use crate::oci::Queue;
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::registry_wait::{RegistryWait, wait_beside};
use crate::reconcile::trust::admission::Admitted;

/// How much of its memory reservation the output of a build may take: the rest is for its objects.
const SHARE: u64 = 4;

/// Builds the content, if it is a kustomization. No worker waits for that. `seen` is as for the
/// fetch.
///
/// # Errors
/// Why it cannot be built, or that something is more urgent.
pub async fn build(
    scope: &Scope<'_>,
    seen: Option<Sightings<'_>>,
    mut content: Admitted,
) -> Result<Admitted, ReconcileError> {
    let Some(tree) = content.take_tree() else { return Ok(content) };
    scope.slot.release();
    let (started, release) = (Instant::now(), scope.release);
    let shown = tree.shown();
    let most = content.room().most / SHARE;
    let building = scope.env.builder.build(&release.id.namespace, tree, most);
    let message = format!("Building the kustomization {shown}");
    let built = wait_beside(scope, seen, &Queue::default(), &message, building).await;
    scope.timer.add(Phase::Build, started.elapsed());
    let count = |result| scope.env.metrics.build(result);
    match built {
        RegistryWait::Preempted => Err(ReconcileError::SUPERSEDED),
        RegistryWait::Done(Ok(output)) => {
            count(if output.took.is_some() { BuildResult::Built } else { BuildResult::Cached });
            content.set_built(output.manifests, output.identity);
            Ok(content)
        }
        RegistryWait::Done(Err(error)) => {
            count(match &error {
                BuildError::Refused(_) => BuildResult::Refused,
                BuildError::Failed(_) | BuildError::TooLarge(_) => BuildResult::Failed,
                BuildError::NotAllowed(_) | BuildError::Unavailable(_) => BuildResult::Unavailable,
            });
            Err(failure(error.reason(), error.to_string()).into())
        }
        RegistryWait::TimedOut => {
            count(BuildResult::Unavailable);
            let seconds = release.timeout.as_secs();
            let message =
                format!("timed out building the kustomization {shown} after spec.timeout ({seconds}s)");
            Err(failure(Reason::BuildUnavailable, message).into())
        }
    }
}
