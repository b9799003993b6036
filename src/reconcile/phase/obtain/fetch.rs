//! From a revision to its artifact.

use std::time::Instant;

use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::observe::labels::Phase;
use crate::oci::{Artifact, OciError, Queue, Selection, Size};
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::error::{ReconcileError, RunFailure, chain};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::registry_wait::{RegistryWait, registry_wait_beside};
use crate::reconcile::scope::revision::Revision;
use crate::reconcile::source::access::access;
use crate::reconcile::source::identities::identities;
use crate::reconcile::source::reference::repository;

/// Fetches the artifact by its digest, within what one of that size may take. Where the
/// applied revision can be put back meanwhile, `seen` says what is seen of it: drift is
/// more urgent then.
///
/// # Errors
/// Why there is none, or that something is more urgent.
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
            (error.reason(), format!("{error}: name a Secret with one by spec.decryption.secretRef"))
        }
        RegistryWait::Done(Err(error)) => (error.reason(), chain(&error)),
        RegistryWait::TimedOut => {
            let seconds = release.timeout.as_secs();
            let message = format!("{} was not pulled within spec.timeout ({seconds}s)", release.url);
            (Reason::RegistryUnavailable, message)
        }
    };
    let failed = RunFailure { artifact: Some(revision.artifact()), ..RunFailure::new(reason, message) };
    Err(ReconcileError::Failed(Box::new(failed)))
}
