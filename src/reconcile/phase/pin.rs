//! The container images of a revision: verified before it is planned, and bound
//! in its objects to the digests that were verified. A revision keeps its
//! digests: that a tag of an image moved changes nothing until the artifact
//! does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::admit::rejected;
use super::obtain::Obtained;
use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::allowed::Allowed;
use crate::domain::gate::{self, Facts};
use crate::domain::inventory::Inventory;
use crate::domain::object::Object;
use crate::observe::labels::Phase;
use crate::oci::{Access, Keyring, Repository};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::notes::Notes;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::cache::trust::TrustCache;
use crate::reconcile::error::{ReconcileError, RunFailure, failure};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::registry_wait::{RegistryWait, registry_wait};
use crate::reconcile::scope::revision::Update;
use crate::reconcile::source::access;
use crate::reconcile::source::reference::repository;
use crate::reconcile::trust::images::{ImageAccess, Images, verify_images};
use crate::reconcile::trust::pinned::{ImageDemand, Pinned, bind, digests};

/// The key of a Secret for pulls.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// The caches for this phase.
pub struct Memory<'a> {
    /// Access to the registry.
    pub registry: &'a mut RegistryCache,
    /// The last verifications.
    pub trust: &'a mut TrustCache,
    /// The notes.
    pub notes: &'a mut Notes,
    /// The inventory, for the message of a refusal.
    pub inventory: &'a Inventory,
}

impl<'a> From<&'a mut Caches> for Memory<'a> {
    fn from(caches: &'a mut Caches) -> Self {
        Self {
            registry: &mut caches.registry,
            trust: &mut caches.trust,
            notes: &mut caches.notes,
            inventory: &caches.cluster.inventory,
        }
    }
}

/// Verifies the images of the objects and writes their digests into them.
///
/// # Errors
/// When there are no objects and that is not approved, and when an image is not signed as required;
/// the condition `Verified` has the reason.
pub async fn pin(
    scope: &Scope<'_>,
    memory: Memory<'_>,
    update: &Update<'_>,
    mut obtained: Obtained,
) -> Result<Obtained, ReconcileError> {
    let Obtained { content, rendered, .. } = &mut obtained;
    let revision = update.revision;
    let entries = memory.inventory.entries.len();
    let found = (revision.name.as_str(), revision.digest.as_str(), rendered.objects.len());
    let unused_layers = content.unused_layers();
    let quota = Some(scope.env.dependencies.quotas.of_plan(&scope.release.id, rendered.objects.len()));
    let facts = Facts { rendered: Some(found), unused_layers, entries, quota, ..scope.facts() };
    ReconcileError::from_gate(gate::decide(&facts))?;
    let Some(demand) = content.images() else {
        memory.trust.pinned = None;
        return Ok(obtained);
    };
    let (started, inventory) = (Instant::now(), memory.inventory);
    let pinned = verify_and_bind(scope, memory, update, demand, &mut rendered.objects).await;
    scope.timer.add(Phase::Verify, started.elapsed());
    match pinned {
        Ok(()) => Ok(obtained),
        Err(ReconcileError::Failed(failed)) => Err(rejected(inventory, revision, failed).into()),
        Err(error) => Err(error),
    }
}

async fn verify_and_bind(
    scope: &Scope<'_>,
    memory: Memory<'_>,
    update: &Update<'_>,
    demand: &ImageDemand,
    objects: &mut [Object],
) -> Result<(), ReconcileError> {
    let Update { session, revision, .. } = *update;
    let trust = memory.trust;
    let same = trust.pinned.as_deref().filter(|p| p.key == revision.key);
    let known = same.filter(|p| p.answers(demand, objects)).cloned();
    if let Some(pinned) = known.as_ref().filter(|p| p.fresh) {
        return Ok(bind(demand, objects, &pinned.pins())?);
    }
    // Known digests are verified again.
    let before = match same {
        Some(pinned) => digests(&pinned.shown),
        // The result of another process, for the same artifact.
        None => {
            let status = scope.status();
            let same = status.artifact.as_ref().filter(|a| a.digest == revision.digest.as_str());
            same.map(|a| digests(&a.images)).unwrap_or_default()
        }
    };
    let images = look_at_images(scope, session, memory.registry, demand, objects, &before).await?;
    let unknown = images.failures.iter().all(|f| !f.reason.is_distrust());
    if let Some(pinned) = known.filter(|_| !images.failures.is_empty() && unknown) {
        // Verified before, and there is no newer result.
        bind(demand, objects, &pinned.pins())?;
        trust.pinned = Some(Box::new(Pinned { fresh: true, ..pinned }));
        return Ok(());
    }
    let warning = images.refusal(demand.mode)?;
    bind(demand, objects, &images.pins())?;
    if let Some(warning) = &warning {
        memory.notes.once(Reason::ImageNotVerified, warning.clone(), false);
    }
    let (key, demand, shown) = (revision.key.clone(), demand.name(), images.status());
    trust.pinned = Some(Box::new(Pinned { key, demand, fresh: true, shown, warning }));
    Ok(())
}

async fn look_at_images(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
    demand: &ImageDemand,
    objects: &[Object],
    before: &BTreeMap<String, String>,
) -> Result<Images, ReconcileError> {
    let access = access::access(scope, session, cache).await?;
    let home = repository(scope.release)?;
    let ways = ReleaseImageAccess { session, access, home, allowed: &scope.env.allowed };
    let registry = scope.env.registry.clone();
    // A slow registry does not block a worker.
    scope.slot.release();
    let looking = verify_images(&registry, objects, &demand.policies, &ways, before);
    let looked = registry_wait(scope, None, looking).await;
    scope.slot.take().await;
    match looked {
        RegistryWait::Done(images) => Ok(images?),
        RegistryWait::Preempted => Err(ReconcileError::SUPERSEDED),
        RegistryWait::TimedOut => {
            let seconds = scope.release.timeout.as_secs();
            let message = format!("timed out verifying the container images after spec.timeout ({seconds}s)");
            Err(failure(Reason::RegistryUnavailable, message).into())
        }
    }
}

/// With the rights and the credentials of the release.
struct ReleaseImageAccess<'a> {
    session: &'a Session,
    access: Arc<Access>,
    home: Repository,
    allowed: &'a Allowed,
}

impl ImageAccess for ReleaseImageAccess<'_> {
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Box<RunFailure>>> {
        async move {
            match self.session.secret(namespace, name).await {
                Ok(secret) => Ok(secret.and_then(|s| s.0.get(DOCKER_CONFIG).cloned())),
                Err(error) => {
                    let what = format!("Secret/{namespace}/{name}, in imagePullSecrets,");
                    Err(access::unread(&what, self.session, &error))
                }
            }
        }
        .boxed()
    }

    fn access<'a>(
        &'a self,
        repository: &'a Repository,
        of_pods: Option<Keyring>,
    ) -> BoxFuture<'a, Result<Access, Box<RunFailure>>> {
        async move {
            let allowed = self.allowed.repository(repository.registry(), repository.path());
            allowed.map_err(|why| failure(Reason::ImageNotVerified, why.to_string()))?;
            Ok(self.access.towards(of_pods, repository, &self.home))
        }
        .boxed()
    }
}
