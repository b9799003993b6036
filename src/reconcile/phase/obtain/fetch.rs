//! From a revision to its artifact.

use std::time::Instant;

use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::observe::labels::Phase;
use crate::oci::{Artifact, OciError, Queue, Selection, Size};
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::error::{ReconcileError, RunFailure, with_cure};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::registry_wait::{RegistryWait, registry_wait_beside};
use crate::reconcile::scope::revision::Revision;
use crate::reconcile::source::access::access;
use crate::reconcile::source::identities::identities;
use crate::reconcile::source::reference::repository;

/// Fetches the artifact by its digest, within the limits of its size. `seen` is given if drift of
/// the applied revision can be corrected meanwhile: drift is more urgent then.
///
/// # Errors
/// Why it cannot be fetched, or that something is more urgent.
pub async fn fetch(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
    seen: Option<Sightings<'_>>,
    revision: &Revision,
    size: Size,
) -> Result<Artifact, ReconcileError> {
    let (started, release) = (Instant::now(), scope.release);
    let repository = repository(release)?;
    let access = access(scope, session, cache).await?;
    let selection = Selection {
        media_type: release.media_type.clone(),
        all_layers: release.all_layers,
        path: release.path.clone(),
        identities: identities(scope, session, cache).await?,
        tenant: release.id.namespace.clone(),
        size,
        queue: Queue::default(),
    };
    let registry = scope.env.registry.clone();
    let fetching = registry.fetch(&repository, &revision.digest, &access, &selection);
    let fetched = registry_wait_beside(scope, seen, &selection.queue, fetching).await;
    scope.timer.add(Phase::Pull, started.elapsed());
    let (reason, message) = match fetched {
        RegistryWait::Preempted => return Err(ReconcileError::SUPERSEDED),
        RegistryWait::Done(Ok(artifact)) => return Ok(artifact),
        RegistryWait::Done(Err(error @ OciError::Encrypted { .. })) => {
            (error.reason(), format!("{error}: set spec.decryption.secretRef to a Secret with the key"))
        }
        RegistryWait::Done(Err(error)) => (error.reason(), with_cure(&error)),
        RegistryWait::TimedOut => {
            let seconds = release.timeout.as_secs();
            let message = format!("timed out pulling {} after spec.timeout ({seconds}s)", release.url);
            (Reason::RegistryUnavailable, message)
        }
    };
    let failed = RunFailure { artifact: Some(revision.artifact()), ..RunFailure::new(reason, message) };
    Err(ReconcileError::Failed(Box::new(failed)))
}
